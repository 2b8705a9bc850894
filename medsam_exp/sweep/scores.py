"""The scores of a sweep's runs, and which of them are over the same images."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from medsam_exp.metrics.measures import ALL_MEASURES, Measure
from medsam_exp.report.finished_run import (
    ONCE_PER_IMAGE,
    FinishedRun,
    comparable,
    finite,
    image_ids,
)
from medsam_exp.sweep.read import Job, SweepResults
from medsam_exp.types import UserError


class NotComparableError(UserError):
    """The runs' scores of one measure cannot be compared; those of another measure may be."""


def known_scores(sweep: SweepResults) -> list[str]:
    """Name what can be shown, as "stage/measure", in the order of the pipeline and of tables."""
    found = dict.fromkeys(
        f"{row['stage']}/{name}"
        for job in sweep.finished
        for row in job.run.rows
        for name, written in row.items()
        if name in ALL_MEASURES and finite(written) is not None
    )
    stages = list(dict.fromkeys(name.partition("/")[0] for name in found))
    return [f"{stage}/{name}" for stage in stages for name in ALL_MEASURES if f"{stage}/{name}" in found]


def known_measure(name: str) -> Measure:
    """A measure by its name in per_image.csv.

    Raises:
        UserError: there is none of that name.
    """
    if name not in ALL_MEASURES:
        raise UserError(f"there is no measure {name!r}; measures are {', '.join(ALL_MEASURES)}")
    return ALL_MEASURES[name]


def scores_of_job(job: Job, stage: str, measure: str) -> dict[str, float]:
    """Finite scores of a job by image."""
    found = {row["id"]: finite(row.get(measure)) for row in job.run.rows if row["stage"] == stage}
    return {name: value for name, value in found.items() if value is not None}


def images_of_samples(jobs: Iterable[Job]) -> dict[str, str]:
    """The image of each sample of jobs over one dataset; a run whose table does not name it takes the other runs'."""
    found: dict[str, str] = {}
    for job in jobs:
        for name, image in image_ids(job.run).items():
            if name not in found or image != name:
                found[name] = image
    return found


def by_dataset(jobs: Sequence[Job], measure: str) -> tuple[list[list[Job]], list[str]]:
    """Put jobs over the same images and true masks together.

    Returns:
        The groups, and a remark that says why there are several, if so.
    """
    groups: list[list[Job]] = []
    why = ""
    for job in jobs:
        for group in groups:
            reason = _incomparable(group[0].run, job.run, measure)
            if not reason:
                group.append(job)
                break
            why = why or reason
        else:
            groups.append([job])
    if len(groups) == 1:
        return groups, []
    return groups, [f"{len(groups)} groups of runs are compared and marked within themselves alone: {why}"]


def _incomparable(a: FinishedRun, b: FinishedRun, measure: str) -> str:
    try:
        comparable(a, b, measure)
    except UserError as error:
        return str(error)
    return ""


def shared_images(
    scores: Mapping[int, Mapping[str, float]], image_of: Mapping[str, str]
) -> tuple[pd.DataFrame, list[str]]:
    """Choose the samples that all runs have, and put those of one image together, as they are not independent.

    Args:
        scores: of each run, by its job's number and sample.
        image_of: each sample's image.

    Returns:
        The mean over each image's samples, one row an image in order, one column a run; and remarks on samples that
        were left out, and on images of several samples.

    Raises:
        NotComparableError: there are none.
    """
    known = pd.DataFrame(dict(scores)).sort_index()
    shared = known.dropna()
    if shared.empty:
        raise NotComparableError("no image has this score in every run, so the runs cannot be compared")
    several = known.index.map(image_of).has_duplicates
    left_out, what = len(known) - len(shared), "samples, each an image and a class" if several else "images"
    remarks = [f"left out, as not every run has a score of them: {left_out} of {len(known)} {what}"]
    remarks = (remarks if left_out else []) + ([ONCE_PER_IMAGE] if several else [])
    return shared.groupby(shared.index.map(image_of)).mean(), remarks
