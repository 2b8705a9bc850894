"""Whether what a run will store fits on the disk, estimated before anything is computed."""

import shutil
from pathlib import Path

from medsam_exp.engine.plan import Plan
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import UserError

_BYTES_OF_A_RESULT = 20_000
"""An allowance for a record with a mask, or a map on a network's grid."""
_TRAINED = ("clip", "sam")
"""Networks whose trainings do not say themselves what they write."""
_COPIES_OF_A_NETWORK = 7
"""While it is trained: its weights, and twice three times as much to go on from (weights and two moments each)."""


def refuse_full_disk(plan: Plan) -> None:
    """Stop before a run whose results would not fit; stages that write much more say so themselves.

    Raises:
        UserError: the disk has less room than that.
    """
    folder = Path(plan.cfg.paths.artifacts)
    needed = bytes_to_write(plan)
    existing = next((place for place in (folder, *folder.absolute().parents) if place.is_dir()), None)
    if existing is None or (free := shutil.disk_usage(existing).free) >= needed:
        return
    raise UserError(
        f"this run would write about {needed / 1e9:.2g} GB, but {folder} has {free / 1e9:.2g} GB free: free space, "
        "or choose another folder by paths.outputs"
    )


def bytes_to_write(plan: Plan) -> int:
    """About how much the stages of a plan will store, without what is stored already."""
    needed = 0
    for name, artifacts in plan.artifacts.items():
        stage, pending = STAGES[name], len(artifacts.pending(plan.results_of(name)))
        needed += pending * _BYTES_OF_A_RESULT
        if pending and stage.trains in _TRAINED:
            files = plan.objects.weight_files(stage.trains)
            needed += _COPIES_OF_A_NETWORK * sum(file.stat().st_size for file in files if file.is_file())
    return needed
