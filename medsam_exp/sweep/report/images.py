"""Draw the images that a sweep's runs share, with the map and masks of each run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.config.build import build
from medsam_exp.engine.input_digests import sample_digest
from medsam_exp.report.finished_run import BETWEEN_TEXTS, read_configuration
from medsam_exp.report.web.drawings import Drawings, draw, drawn_stages
from medsam_exp.runtime.artifacts import StageArtifacts, stored_digests
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.wording import first_line
from medsam_exp.stages.pipeline import STAGES
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

    ids = [name for name in sample_ids if name in known]
    stages, unclear = _stored_stages(jobs, dataset, ids)
    found = draw(ids, read, stages, budget)
    found.remarks = [
        f"{said}, those on which the runs differ most; all scores are in table.csv, all masks in the runs' folders"
        for said in found.remarks
    ]
    if unclear:
        found.remarks.append(
            "maps and masks of images or texts that were changed since are not shown here: the report.html in each "
            "run's folder shows its own"
        )
    return found


def drawing_keys(jobs: Sequence[Job]) -> dict[int, dict[str, str]]:
    """Where a run's map and masks stand among the drawings, by its number and the stage.

    That is the stage's key, which runs share, or where their texts differ and the stage hears them, the key with the
    number of the first run that has the same texts.
    """
    found: dict[int, dict[str, str]] = {}
    users: dict[tuple[str, str], list[Job]] = {}
    texts = {job.number: texts_of(job) for job in jobs}
    for job in jobs:
        for stage, key in _keys(job).items():
            users.setdefault((stage, key), []).append(job)
    for (stage, key), own in users.items():
        firsts = [next(one for one in own if texts[one.number] == texts[job.number]) for job in own]
        shared = STAGES[stage].digests == "images" or all(first is own[0] for first in firsts)
        for job, first in zip(own, firsts, strict=True):
            found.setdefault(job.number, {})[stage] = key if shared else f"{key} {first.number}"
    return found


def texts_of(job: Job) -> dict[str, str]:
    """What each sample of a run was asked for, as its table has it."""
    return {row["id"]: row.get("text", "") for row in job.run.rows}


def _stored_stages(
    jobs: Sequence[Job], dataset: Dataset, ids: Sequence[str]
) -> tuple[dict[str, dict[str, StageArtifacts]], bool]:
    """What the runs stored, by stage and `drawing_keys`; and whether records fit no image and text of theirs."""
    found: dict[str, dict[str, StageArtifacts]] = {}
    names, unclear, known = drawing_keys(jobs), False, dict[Path, FileDigests]()
    for job in jobs:
        root = job.run.artifacts
        for stage in drawn_stages():
            name, key = names.get(job.number, {}).get(stage), _keys(job).get(stage)
            if root is None or name is None or key is None or name in found.get(stage, {}):
                continue
            stored = stored_digests(root / stage / key)
            records = {one: set(stored[one]) for one in ids if one in stored}
            doubtful = [one for one, of in records.items() if name != key or len(of) > 1]
            if doubtful and root not in known:
                known[root] = FileDigests(root / "file_digests.json")
            own = _inputs_of(job, dataset, doubtful, records, known[root]) if doubtful else {}
            single = {one: next(iter(of)) for one, of in records.items() if one not in doubtful}
            unclear |= len(own) < len(doubtful)
            if single or own:
                found.setdefault(stage, {})[name] = StageArtifacts(root, stage, key, {**single, **own})
    return found, unclear


def _inputs_of(
    job: Job, dataset: Dataset, ids: Sequence[str], records: Mapping[str, set[str]], digests: FileDigests
) -> dict[str, str]:
    """Which records of samples were made of the image as it is now, and of the run's text where the stage hears it."""
    found: dict[str, str] = {}
    texts = texts_of(job)
    for one in ids:
        image, text = dataset.image_digest(one, digests), texts.get(one, "")
        wholes = tuple(sample_digest(image, parts) for parts in ([], [text], text.split(BETWEEN_TEXTS)))
        for digest in records[one]:
            if any(whole.startswith(digest) for whole in wholes):
                found[one] = digest
    return found


def _keys(job: Job) -> Mapping[str, str]:
    keys: Mapping[str, str] = job.run.summary.get("keys", {})
    return keys
