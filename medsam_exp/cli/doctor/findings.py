"""Everything that the doctor finds out, as data."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medsam_exp.cli.doctor.machine import Machine, look
from medsam_exp.cli.preflight import PREPARED, Need, needs_of
from medsam_exp.cli.weights.catalogue import catalogue
from medsam_exp.cli.weights.local_cache import State, file_state, known_digests, state
from medsam_exp.cli.weights.settings import Settings, configured_paths, settings
from medsam_exp.report.logger.wandb_auth import has_key
from medsam_exp.runtime.conf_folder import conf_folder, head_comment
from medsam_exp.runtime.wording import first_line
from medsam_exp.types import UserError

QUICK_BYTES = 300_000_000
"""Checksums are counted of so much at most, unless all are asked for; those that are remembered cost nothing."""


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        machine: the machine.
        weights_folder: the one cache of published weights.
        weights: what is there of each network's.
        data: whether the folders of data that experiments know are there.
        wandb_login: whether a key for W&B is there.
        experiments: what each lacks, by name.
    """

    machine: Machine
    weights_folder: Path
    weights: dict[str, State]
    data: dict[Path, bool]
    wandb_login: bool
    experiments: dict[str, list[Need]]

    @property
    def ready(self) -> list[str]:
        """Experiments that can run now."""
        return [name for name, needs in self.experiments.items() if not any(need.blocks for need in needs)]


def examine(names: Sequence[str] = (), *, verify_all: bool = False) -> Findings:
    """Look at everything.

    Args:
        names: of experiments to look at; none takes all.
        verify_all: count the checksums of all weights, which may take a minute.

    Raises:
        UserError: there is no such experiment, or the configuration itself cannot be read.
    """
    own, paths = settings(), configured_paths()
    data, outputs = Path(paths["data"]).expanduser(), Path(paths["outputs"]).expanduser()
    return Findings(
        machine=look({"weights": own.folder, "data": data, "outputs": outputs}),
        weights_folder=own.folder.absolute(),
        weights=_weights_states(own, verify_all=verify_all),
        data={data / name: (data / name).is_dir() for name in PREPARED},
        wandb_login=has_key(),
        experiments={name: _needs(name) for name in _experiments(names)},
    )


def _weights_states(own: Settings, *, verify_all: bool) -> dict[str, State]:
    """What is there of each network; checksums only as far as they are quick."""
    left, found = QUICK_BYTES, {}
    with known_digests(own.folder) as digests:
        for weights in sorted(catalogue().values(), key=lambda each: each.bytes):
            try:
                here = [file for file in weights.files if file.sha256 and file_state(file, own.folder).usable]
                paths = [own.folder / file.path for file in here]
                size = sum(path.stat().st_size for path in paths if not digests.remembers(path))
                if verify_all or size <= left:
                    left -= size
                    found[weights.name] = state(weights, own.folder, digests)
                else:
                    quick = state(weights, own.folder)
                    found[weights.name] = State(quick.kind, quick.note or "not verified yet")
            except OSError as error:
                found[weights.name] = State("wrong", f"cannot be read ({error.strerror})")
    return {name: found[name] for name in catalogue()}


def _experiments(names: Sequence[str]) -> Sequence[str]:
    shipped = sorted(path.stem for path in (conf_folder() / "experiment").glob("*.yaml"))
    for name in names:
        if name not in shipped:
            raise UserError(f"there is no experiment {name!r}; there are {', '.join(shipped)}")
    return names or shipped


def _needs(experiment: str) -> list[Need]:
    try:
        return needs_of([f"+experiment={experiment}"])
    except Exception as error:  # one that is broken must not hide the others
        return [Need("its configuration", first_line(error), "see its YAML")]


def title_of(experiment: str) -> str:
    """The first sentence about an experiment in its YAML."""
    said = head_comment(conf_folder() / "experiment" / f"{experiment}.yaml")
    return re.split(r"(?<=[a-z0-9)])[.:;] ", f"{said} ")[0].strip(" .")


def as_record(found: Findings) -> dict[str, Any]:
    """The findings as data for JSON, paths apart."""
    experiments = {
        name: [{**asdict(need), "sentence": need.sentence} for need in needs]
        for name, needs in found.experiments.items()
    }
    data = [
        {"folder": folder, "there": there, "prepare": PREPARED[folder.name]}
        for folder, there in found.data.items()
    ]
    return {**asdict(found), "ready": found.ready, "experiments": experiments, "data": data}
