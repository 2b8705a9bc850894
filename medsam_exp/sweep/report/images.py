"""Draw the images that a sweep's runs share, with the map and masks of each run."""

from collections.abc import Iterable, Mapping, Sequence

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

    stages, doubled = _stored_stages(jobs)
    ids = [name for name in sample_ids if name in known]
    found = draw(ids, read, stages, budget)
    found.remarks = [
        f"{said}, those on which the runs differ most; all scores are in table.csv, all masks in the runs' folders"
        for said in found.remarks
    ]
    if doubled & set(ids):
        found.remarks.append(
            "maps and masks that were made for several texts, or of an image that was changed since, are not shown "
            "here: the report.html in each run's folder shows its own"
        )
    return found


def _stored_stages(jobs: Sequence[Job]) -> tuple[dict[str, dict[str, StageArtifacts]], set[str]]:
    """What the runs stored, by stage and key, which runs may share; and samples with several records in a stage."""
    found: dict[str, dict[str, StageArtifacts]] = {}
    doubled: set[str] = set()
    for job in jobs:
        root = job.run.artifacts
        for stage in drawn_stages():
            key = _keys(job).get(stage)
            if root is None or key is None or key in found.get(stage, {}):
                continue
            digests = {name: set(own) for name, own in stored_digests(root / stage / key).items()}
            single = {name: next(iter(own)) for name, own in digests.items() if len(own) == 1}
            doubled |= digests.keys() - single.keys()
            if single:
                found.setdefault(stage, {})[key] = StageArtifacts(root, stage, key, single)
    return found, doubled


def _keys(job: Job) -> Mapping[str, str]:
    keys: Mapping[str, str] = job.run.summary.get("keys", {})
    return keys
