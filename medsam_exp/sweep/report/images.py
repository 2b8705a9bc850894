"""Draw the images that a sweep's runs share, with the map and masks of each run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.config.build import build
from medsam_exp.report.finished_run import read_configuration
from medsam_exp.report.web.drawings import Drawings, draw, drawn_stages
from medsam_exp.runtime.artifacts import StageArtifacts, stored_digests
from medsam_exp.runtime.wording import first_line
from medsam_exp.sweep.read import Job
from medsam_exp.types import Dataset, Mask, RGBImage, UserError


def draw_images(jobs: Sequence[Job], sample_ids: Iterable[str], budget: int) -> Drawings:
    """Draw images until they take as much room as they may.

    Args:
        jobs: finished, all over the same images.
        sample_ids: the most telling first.
        budget: characters of all pictures together.
    """
    try:
        node = read_configuration(jobs[0].folder).get("data")
        if not isinstance(node, DictConfig) or "_target_" not in node:
            raise UserError(f"{jobs[0].folder} does not say what its data was")
        dataset: Dataset = build(node)
    except (UserError, OSError, HydraException, OmegaConfBaseException) as error:
        why = f"images cannot be shown, as they are not there any more: {first_line(error)}"
        return Drawings(remarks=[why])
    judged = dataset.has_ground_truth and "evaluate" in _keys(jobs[0])
    known = {sample.id for sample in dataset.samples}

    def read(sample_id: str) -> tuple[RGBImage, Mask | None]:
        return dataset.read_image(sample_id), dataset.read_ground_truth(sample_id) if judged else None

    found = draw([name for name in sample_ids if name in known], read, _stored_stages(jobs), budget)
    found.remarks = [
        f"{said}, those on which the runs differ most; all scores are in table.csv, all masks in the runs' folders"
        for said in found.remarks
    ]
    return found


def _stored_stages(jobs: Sequence[Job]) -> dict[str, dict[str, StageArtifacts]]:
    """What the runs stored, by stage and key; runs that share a key share it here too."""
    found: dict[str, dict[str, StageArtifacts]] = {}
    for job in jobs:
        root = job.run.artifacts
        for stage in drawn_stages():
            key = _keys(job).get(stage)
            if root is None or key is None or key in found.get(stage, {}):
                continue
            if digests := _digests(root / stage / key):
                found.setdefault(stage, {})[key] = StageArtifacts(root, stage, key, digests)
    return found


def _digests(folder: Path) -> dict[str, str]:
    """Digest of each sample's record; a sample whose image was changed meanwhile has several, and is left out."""
    found = {sample_id: set(digests) for sample_id, digests in stored_digests(folder).items()}
    return {sample_id: digests.pop() for sample_id, digests in found.items() if len(digests) == 1}


def _keys(job: Job) -> Mapping[str, str]:
    keys: Mapping[str, str] = job.run.summary.get("keys", {})
    return keys
