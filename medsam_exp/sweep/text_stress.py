"""Texts under stress, one row each: how masks, maps and presence change when a text is put in another way.

Made of a sweep over `text` that has one of the choices `text=stress_...`; the others are compared with the first text,
image by image.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import hypot
from statistics import fmean

from medsam_exp.metrics.measures import ALL_MEASURES, MISSING, interval, number, score_cell
from medsam_exp.report.finished_run import finite
from medsam_exp.stages.pipeline import mask_stages, stage_title
from medsam_exp.sweep.pivot import Entry, Layout, Pivot, Values, pivot
from medsam_exp.sweep.read import SEED, Job, SweepResults
from medsam_exp.sweep.scores import NotComparableError, known_scores
from medsam_exp.sweep.sheets import Sheet, TableCell, one_mark, signed_difference

TEXT = "text"
STRESS = "stress_"
"""What the choices of group text begin with that stress another source's texts."""
_DSC = ALL_MEASURES["dsc"]
_MAP = "saliency"
_PRESENCE = "presence"


def text_stress_sheet(sweep: SweepResults) -> Sheet | None:
    """The table of a sweep over texts under stress; None for other sweeps, and without scored masks."""
    texts = sweep.axes.get(TEXT, ())
    if not any(text.startswith(STRESS) for text in texts) or len(texts) < 2:
        return None
    others = [axis for axis in sweep.axes if axis not in (TEXT, SEED) and len(sweep.axes[axis]) > 1]
    layout = Layout(rows=[*others, TEXT], against={TEXT: texts[0]})
    pivots = list(_pivots(sweep, layout))
    if not pivots:
        return None
    axes = pivots[0].row_axes
    rows = list(dict.fromkeys(row for made in pivots for row in made.rows))
    lines = [
        (
            *map(TableCell, row),
            *(cell for made in pivots for cell in _scores(made.entries.get((row, ())))),
            *_other_figures(sweep, axes, row, texts[0], pivots[-1].stage),
        )
        for row in rows
    ]
    last = stage_title(pivots[-1].stage)
    header = [heading for made in pivots for heading in _headings(made)]
    notes = [
        f"Compared with text={texts[0]}, paired by image; [95 % confidence intervals by bootstrap over images, or over "
        "patients where some have several images]",
        f"empty: share of images whose last mask ({last}) has no pixel; presence: mean score; moved: mean distance "
        f"of the map's peak from where it is under text={texts[0]}",
        *one_mark(pivots),
        *(remark for made in pivots for remark in made.remarks),
    ]
    return Sheet(
        "Texts under stress",
        (*axes, *header, "empty", "moved (px)", "presence"),
        len(axes),
        tuple(lines),
        tuple(dict.fromkeys(notes)),
    )


def _pivots(sweep: SweepResults, layout: Layout) -> Iterator[Pivot]:
    """DSC of each kind of mask, in the order of the pipeline."""
    known = known_scores(sweep)
    for label in mask_stages().values():
        if f"{label}/{_DSC.name}" in known:
            try:
                yield pivot(sweep, label, _DSC, layout)
            except NotComparableError:  # the table of this score says why
                continue


def _headings(made: Pivot) -> tuple[str, str]:
    return f"{stage_title(made.stage)}, {_DSC.label} ↑", "difference"


def _scores(entry: Entry | None) -> Iterator[TableCell]:
    """Mean, and difference to the first text, each with its interval."""
    if entry is None:
        yield from (TableCell(MISSING), TableCell(MISSING))
        return
    mean, compared = entry.score["mean"], entry.comparison
    shown = number(mean, _DSC.decimals)
    yield TableCell(_with(shown, score_cell(entry.score, _DSC.decimals).interval), value=mean)
    if compared is None:
        yield TableCell("reference" if entry.reference else MISSING)
        return
    bounds = interval(compared.ci95, _DSC.decimals, signed_difference)
    difference = signed_difference(compared.difference, _DSC.decimals)
    yield TableCell(_with(difference, bounds), value=compared.difference)


def _with(shown: str, bounds: str) -> str:
    return shown if bounds == MISSING else f"{shown} {bounds}"


def _other_figures(
    sweep: SweepResults, axes: Values, row: Values, first: str, stage: str
) -> Iterator[TableCell]:
    """Share of empty masks, how far the map moved, and presence; over images, or over images and seeds."""
    values = dict(zip(axes, row, strict=True))
    own = _jobs(sweep, values)
    base = {job.values.get(SEED, ""): job for job in _jobs(sweep, {**values, TEXT: first})}
    masks = [found for job in own for found in _facts(job, stage, "presence").values()]
    moved = [
        shift for job in own if (other := base.get(job.values.get(SEED, ""))) for shift in _shifts(job, other)
    ]
    presence = [found for job in own for found in _facts(job, _PRESENCE, "probability").values()]
    yield _mean([1 - found for found in masks], 2)
    yield _mean(moved, 1)
    yield _mean(presence, 2)


def _jobs(sweep: SweepResults, values: Mapping[str, str]) -> list[Job]:
    return [job for job in sweep.finished if all(job.values[axis] == value for axis, value in values.items())]


def _facts(job: Job, stage: str, column: str) -> dict[str, float]:
    """Finite numbers of a column of per_image.csv by sample."""
    found = {row["id"]: finite(row.get(column)) for row in job.run.rows if row["stage"] == stage}
    return {name: value for name, value in found.items() if value is not None}


def _shifts(job: Job, other: Job) -> list[float]:
    """Distances between the peaks of two runs' maps of the same samples, in pixels of the original image."""
    (x, y), (other_x, other_y) = (
        tuple(_facts(each, _MAP, column) for column in ("peak_x", "peak_y")) for each in (job, other)
    )
    shared = x.keys() & y.keys() & other_x.keys() & other_y.keys()
    return [hypot(x[name] - other_x[name], y[name] - other_y[name]) for name in sorted(shared)]


def _mean(values: Sequence[float], decimals: int) -> TableCell:
    if not values:
        return TableCell(MISSING)
    mean = fmean(values)
    return TableCell(number(mean, decimals), value=mean)
