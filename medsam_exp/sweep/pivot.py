"""Pivot tables of a sweep: one measure of one stage by the axes, seeds aggregated, every row tested against another.

`DataFrame.pivot_table` is not used: a cell needs the scores of the same images in all runs, for paired tests and
intervals by patient, and not their mean alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.patients import patient_notes
from medsam_exp.metrics.clusters import picked
from medsam_exp.metrics.measures import Measure
from medsam_exp.metrics.paired import PairedComparison, compare_pairs, holm
from medsam_exp.metrics.summary import summarise
from medsam_exp.report.finished_run import mark_of, patients_of
from medsam_exp.runtime.wording import first_few
from medsam_exp.sweep.read import SEED, Job, SweepResults
from medsam_exp.sweep.scores import (
    NotComparableError,
    by_dataset,
    images_of_samples,
    known_scores,
    scores_of_job,
    shared_images,
)
from medsam_exp.types import UserError

Values = tuple[str, ...]
"""One value for each of some axes, in their order."""
Place = tuple[Values, Values]
"""Values of the row axes and of the column axes."""
_DATA = "data"
_DIGITS = 12  # significant ones of a mean; further ones are rounding errors
_EQUAL = 1e-12  # means that differ by less are equally good


@dataclass(frozen=True)
class Entry:
    """One combination of the axes.

    Attributes:
        row: its values on the pivot's row axes.
        column: its values on the pivot's column axes.
        seeds: how many seeds it has.
        score: `summarise` over images of each image's mean over its classes and the seeds: mean, std, ci95, n, and
            patients, where they are known.
        seed_std: standard deviation (n - 1) over seeds of the mean over images; None for one seed.
        best: whether no other row of its column and its images has a better mean.
        comparison: with the reference, differences are this - reference; None for the reference itself.
        p: two-sided Wilcoxon signed-rank test (by patient, where some have several images), Holm-corrected over all
            tests of the pivot; 1 where no image differs, None where nothing was compared.
        reference: whether others are compared with this one.
    """

    row: Values
    column: Values
    seeds: int
    score: Mapping[str, Any]
    seed_std: float | None
    best: bool = False
    comparison: PairedComparison | None = None
    p: float | None = None
    reference: bool = False


@dataclass(frozen=True)
class Pivot:
    """One measure of one stage, by the axes.

    Attributes:
        stage: whose masks or maps are scored.
        measure: what is shown.
        row_axes: axes whose values make the rows.
        column_axes: axes whose values make the columns; none for a single column.
        entries: by row and column; a combination without results is not there.
        tests: number of tests that the p-values are corrected for.
        remarks: limits of the comparison, one sentence each.
        marks: how the masks of each row are supervised; none where no run says it.
    """

    stage: str
    measure: Measure
    row_axes: Values
    column_axes: Values
    entries: Mapping[Place, Entry]
    tests: int
    remarks: tuple[str, ...]
    marks: Mapping[Values, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[Values]:
        """Values of the rows, in order."""
        return list(dict.fromkeys(row for row, _ in self.entries))

    @property
    def columns(self) -> list[Values]:
        """Values of the columns, in order."""
        return list(dict.fromkeys(column for _, column in self.entries))


@dataclass(frozen=True)
class _Cell:
    """The scores of one combination: number of its dataset, (seeds, images) scores, each image's patient if known."""

    dataset: int
    scores: NDArray[np.float64]
    patients: list[str] | None

    @property
    def by_image(self) -> list[float]:
        """Each image's mean over the seeds, to so many digits that equal scores give equal means."""
        return [float(f"{mean:.{_DIGITS}g}") for mean in self.scores.mean(axis=0)]


@dataclass(frozen=True)
class Layout:
    """Which axes make rows and columns, and which row the others are tested against.

    Attributes:
        rows: axes of the rows; axes named nowhere follow them, so that nothing but seeds is averaged.
        columns: axes of the columns.
        against: values on some axes; a combination is tested against the one that has these and is its equal in all
            others. None takes the first row's values.
    """

    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    against: Mapping[str, str] | None = None


def pivot(sweep: SweepResults, stage: str, measure: Measure, layout: Layout | None = None) -> Pivot:
    """Make a pivot table.

    Every figure of one dataset is over the same images: those that have a score in every one of its runs.

    Args:
        sweep: read back.
        stage: such as "sam".
        measure: such as DSC.
        layout: rows, columns and reference; by default all axes in rows, against the first.

    Raises:
        UserError: an axis or a value is unknown, or no run has the measure.
        NotComparableError: no image has it in all runs, or the seeds of a combination are over different images.
    """
    layout = layout or Layout()
    _check_axes(sweep, layout)
    columns = tuple(layout.columns)
    others = (axis for axis in _varied_axes(sweep) if axis not in columns)
    axes = (tuple(dict.fromkeys([*layout.rows, *others])), columns)
    scored = {job.number: own for job in sweep.finished if (own := scores_of_job(job, stage, measure.name))}
    if not scored:
        known = ", ".join(known_scores(sweep)) or "none"
        raise UserError(f"no run has {stage}/{measure.name}; what the runs have: {known}")
    cells, remarks = _cells([job for job in sweep.finished if job.number in scored], scored, measure, axes)
    cells = {place: cells[place] for place in sorted(cells, key=lambda place: _rank(sweep, axes, place))}
    against = layout.against or {
        axis: value for axis, value in zip(axes[0], next(iter(cells))[0], strict=True) if axis != _DATA
    }
    entries = _entries(cells, axes, against, 1 if measure.higher_is_better else -1)
    tests = sum(entry.comparison is not None for entry in entries.values())
    untested = sum(entry.comparison is None and not entry.reference for entry in entries.values())
    if untested:
        remarks.append(f"not tested, as what they would be compared with has no results: {untested}")
    remarks += _missing_jobs_remarks(sweep, scored)
    marks = _marks([job for job in sweep.finished if job.number in scored], stage, axes[0])
    return Pivot(stage, measure, *axes, entries, tests, tuple(remarks), marks)


def _marks(jobs: Sequence[Job], stage: str, axes: Values) -> dict[Values, str]:
    """How the masks of each row are supervised; "unknown" of a run that does not say it beside others that do."""
    found: dict[Values, list[str]] = {}
    for job in jobs:
        found.setdefault(tuple(job.values[axis] for axis in axes), []).append(mark_of(job.run, stage))
    if not any(map(any, found.values())):
        return {}
    return {
        row: ", ".join(dict.fromkeys(mark or "unknown" for mark in marks)) for row, marks in found.items()
    }


def _varied_axes(sweep: SweepResults) -> Values:
    """Axes with several values, without the seed; the first axis where none has several."""
    axes = [axis for axis in sweep.axes if axis != SEED]
    return tuple([axis for axis in axes if len(sweep.axes[axis]) > 1] or axes[:1])


def _check_axes(sweep: SweepResults, layout: Layout) -> None:
    """Refuse unknown axes and values."""
    against = layout.against or {}
    for axis in (*layout.rows, *layout.columns, *against):
        if axis not in sweep.axes or axis == SEED:
            known = ", ".join(axis for axis in sweep.axes if axis != SEED)
            raise UserError(f"{axis!r} is no axis that can be shown; the sweep's axes are {known}")
    if both := set(layout.rows) & set(layout.columns):
        raise UserError(f"{', '.join(sorted(both))} cannot make rows and columns at once")
    for axis, value in against.items():
        if value not in sweep.axes[axis]:
            raise UserError(f"{axis} has no value {value!r}; it has {', '.join(sweep.axes[axis])}")


def _cells(
    jobs: Sequence[Job],
    scored: Mapping[int, Mapping[str, float]],
    measure: Measure,
    axes: tuple[Values, Values],
) -> tuple[dict[Place, _Cell], list[str]]:
    """The scores of each combination, and what was left out."""
    groups, remarks = by_dataset(jobs, measure.name)
    cells: dict[Place, _Cell] = {}
    for number, group in enumerate(groups):
        image_of = images_of_samples(group)
        means, notes = shared_images({job.number: scored[job.number] for job in group}, image_of)
        known = patients_of(job.run for job in group)
        patients = picked(known, means.index)
        notes += patient_notes({name: (known or {}).get(name) for name in means.index})
        remarks += [sentence for sentence in notes if sentence not in remarks]
        seeds: dict[Place, list[int]] = {}
        for job in sorted(group, key=lambda job: job.number):
            place = tuple(tuple(job.values[axis] for axis in own) for own in axes)
            seeds.setdefault((place[0], place[1]), []).append(job.number)
        for place, numbers in seeds.items():
            if place in cells:
                named = described(axes[0] + axes[1], place[0] + place[1])
                raise NotComparableError(
                    f"the seeds of {named} are over different images, so they cannot be aggregated; "
                    "give what differs an axis of its own"
                )
            cells[place] = _Cell(number, means[numbers].to_numpy().T, patients)
    return cells, remarks


def _rank(sweep: SweepResults, axes: tuple[Values, Values], place: Place) -> list[int]:
    return [
        sweep.axes[axis].index(value)
        for names, values in zip(axes, place, strict=True)
        for axis, value in zip(names, values, strict=True)
    ]


def described(axes: Values, values: Values) -> str:
    """Values as they are typed: "saliency=m2ib seed=0"."""
    return " ".join(f"{axis}={value}" for axis, value in zip(axes, values, strict=True))


def _entries(
    cells: Mapping[Place, _Cell], axes: tuple[Values, Values], against: Mapping[str, str], sign: int
) -> dict[Place, Entry]:
    """Each combination's figures, the best of each column and dataset, and the tests, corrected all together."""
    scores = {place: summarise(cell.by_image, clusters=cell.patients) for place, cell in cells.items()}
    others = {
        place: (_replaced(axes[0], place[0], against), _replaced(axes[1], place[1], against))
        for place in cells
    }
    compared = {
        place: compare_pairs(cells[other].by_image, cells[place].by_image, clusters=cells[place].patients)
        for place, other in others.items()
        if place != other and other in cells and cells[other].dataset == cells[place].dataset
    }
    raw = [1.0 if each.wilcoxon_p is None else each.wilcoxon_p for each in compared.values()]
    corrected = dict(zip(compared, holm(raw), strict=True))
    entries = {}
    for place, cell in cells.items():
        rivals = [
            sign * scores[other]["mean"]
            for other, beside in cells.items()
            if (other[1], beside.dataset) == (place[1], cell.dataset)
        ]
        means = cell.scores.mean(axis=1)
        entries[place] = Entry(
            *place,
            seeds=len(means),
            score=scores[place],
            seed_std=float(means.std(ddof=1)) if len(means) > 1 else None,
            best=len(rivals) > 1 and sign * scores[place]["mean"] >= max(rivals) - _EQUAL,
            comparison=compared.get(place),
            p=corrected.get(place),
            reference=others[place] == place,
        )
    return entries


def _replaced(axes: Values, values: Values, against: Mapping[str, str]) -> Values:
    """The values with those on some axes replaced."""
    return tuple(against.get(axis, value) for axis, value in zip(axes, values, strict=True))


def _missing_jobs_remarks(sweep: SweepResults, scored: Mapping[int, Any]) -> list[str]:
    lost = [job for job in sweep.jobs if job.number not in scored]
    if not lost:
        return []
    named = first_few(job.number for job in lost)
    return [f"without results: {len(lost)} of {len(sweep.jobs)} jobs ({named})"]
