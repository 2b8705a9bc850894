"""A run's training curves as small pictures, one for each quantity, over the optimizer's steps."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medsam_exp.report.figures.style import BLUE, DOTS_PER_INCH, FAINT, GREEN, INK, RED, save_png, style_axes
from medsam_exp.report.section import Picture
from medsam_exp.report.topics.retrieval import DIRECTIONS

_WIDTH, _ROW = 9.6, 2.45  # inches
_TICKS = (1, 2, 2.5, 5, 10)
_MARKED = 30  # points at most that get a dot each, so that a single one is seen


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        label: in the panel's legend.
        columns: of the file; the curve is the mean of those that a row has.
        colour: of the curve.
        dashed: whether the curve is told apart by more than its colour.
    """

    label: str
    columns: tuple[str, ...]
    colour: str = BLUE
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One quantity.

    Attributes:
        title: the quantity with its unit.
        lines: its curves.
        hint: what a reader must know of it.
        factor: from the file's unit to the shown one.
        from_zero: whether the axis begins at 0.
    """

    title: str
    lines: tuple[Line, ...]
    hint: str = ""
    factor: float = 1.0
    from_zero: bool = True


PANELS = (
    Panel(
        "Loss",
        (
            Line("training", ("train/loss",)),
            Line("validation", ("val/loss", "val/loss_box", "val/loss_points", "val/loss_both"), RED, True),
        ),
        from_zero=False,
    ),
    Panel(
        "Pseudo-Dice, validation",
        (Line("", ("val/pseudo_dice",)),),
        "The pseudo-Dice counts all pixels of an epoch's validation patches together, and is measured against the "
        "labels that are trained on; it is no score of masks.",
    ),
    Panel(
        "Retrieval top-1, validation (%)",
        tuple(
            Line(label, (f"val/top1_{name}",), *style)
            for (name, label), style in zip(DIRECTIONS.items(), ((BLUE, False), (RED, True)), strict=True)
        ),
        "Top-1 is the share of a validation batch whose right partner comes first. "
        "Contrastive losses grow with the batch, so compare training with validation only where their batches "
        "are equally large.",
        factor=100,
    ),
    Panel(
        "DSC by prompt, validation",
        (
            Line("box", ("val/dsc_box",)),
            Line("points", ("val/dsc_points",), RED, True),
            Line("both", ("val/dsc_both",), GREEN),
        ),
    ),
    Panel("Temperature", (Line("", ("train/temperature",)),)),
    Panel(
        "Embedding spread (cosine distance)",
        (Line("image", ("train/image_spread",)), Line("text", ("train/text_spread",), RED, True)),
        "The spread is the mean cosine distance within a training batch: near 0 all embeddings are alike.",
    ),
    Panel("Learning rate", (Line("", ("train/learning_rate",)),)),
    Panel("Images per second", (Line("", ("train/images_per_second",)),)),
)
_TRAINED_ON = {"weak": "weak labels", "reference": "the reference's labels"}
_DRAWN = frozenset(column for panel in PANELS for line in panel.lines for column in line.columns)

Row = Mapping[str, float]
"""What was recorded at one moment: finite figures by column, and `step`, counted from 0."""


@dataclass(frozen=True)
class Training:
    """What one training recorded.

    Attributes:
        name: "weak/fold_0" where a run has several of a kind, else "".
        rows: in the order of their recording, columns without that name.
    """

    name: str
    rows: list[Row]


def training_pictures(path: Path, folder: Path) -> list[Picture]:
    """Draw every training of a run.

    Args:
        path: the run's `curves/metrics.csv`; it need not exist.
        folder: gets `training.png`, further trainings `training_2.png` and so on.

    Returns:
        (caption, picture) for the report; nothing when the run trained nothing.
    """
    pictures = []
    for number, training in enumerate(read_trainings(path), start=1):
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / ("training.png" if number == 1 else f"training_{number}.png")
        save_png(training_figure(training.rows), picture)
        hints = [panel.hint for panel in _used_panels(training.rows) if panel.hint]
        said = f"{_named(training.name)}Curves over the optimizer's steps."
        pictures.append((" ".join([f"training: {said}", *hints]), picture))
    return pictures


def _named(training: str) -> str:
    """A training's name for readers, at the beginning of a caption."""
    source, _, fold = training.partition("/fold_")
    return f"nnU-Net on {_TRAINED_ON.get(source, source)}, fold {fold}. " if training else ""


def read_trainings(path: Path) -> list[Training]:
    """Trainings in the order of the file; a new one has another name, or counts from 0 again.

    Empty and infinite values, and those that are no numbers, are left out.
    """
    trainings: list[Training] = []
    if not path.is_file():
        return trainings
    with path.open(newline="", encoding="utf-8") as file:
        for raw in csv.DictReader(file):
            name, row = _without_name(_finite(raw))
            if "step" not in row or not _DRAWN & row.keys():
                continue
            if not trainings or name != trainings[-1].name or row["step"] < trainings[-1].rows[-1]["step"]:
                trainings.append(Training(name, []))
            trainings[-1].rows.append(row)
    return trainings


def _without_name(row: Row) -> tuple[str, Row]:
    """The name of the training whose figures a row has, and the row with the columns that are drawn."""
    named = {column: "/".join(column.split("/")[-2:]) for column in row}
    names = {column.removesuffix(own).rstrip("/") for column, own in named.items() if own in _DRAWN}
    name = min(names, default="")
    return name, {named[column]: value for column, value in row.items()}


def training_figure(rows: list[Row]) -> Figure:
    """Draw one training; quantities that were never recorded are left out."""
    chosen = _used_panels(rows)
    columns = min(3, math.ceil(math.sqrt(len(chosen))))
    lines = math.ceil(len(chosen) / columns)
    size = (_WIDTH, lines * _ROW + 0.1)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(lines, columns, squeeze=False).flat
    last = max(row["step"] for row in rows) + 1
    for number, axes in enumerate(grid):
        if number >= len(chosen):
            axes.remove()
            continue
        _draw(axes, chosen[number], rows)
        axes.set_xlim(0, 1.02 * last)
        if number + columns >= len(chosen):  # nothing stands below
            axes.set_xlabel("optimizer step", fontsize=9, color=FAINT)
    return figure


def _draw(axes: Axes, panel: Panel, rows: list[Row]) -> None:
    found = [(line, points) for line in panel.lines if (points := _points(line, rows))]
    for line, points in found:
        axes.plot(
            [step for step, _ in points],
            [panel.factor * value for _, value in points],
            color=line.colour,
            ls=(0, (4, 1.5)) if line.dashed else "-",
            lw=1.6,
            marker="o" if len(points) <= _MARKED else "",
            ms=3.2,
            label=line.label,
            clip_on=False,
        )
    axes.set_title(panel.title, loc="left", fontsize=10, color=INK, pad=20)
    if any(line.label for line, _ in found):
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(found),
            frameon=False,
            fontsize=8.5,
            labelcolor=INK,
            borderpad=0,
            borderaxespad=0.3,
            columnspacing=1.2,
            handlelength=2,
            handletextpad=0.5,
        )
    _style(axes, from_zero=panel.from_zero)


def _style(axes: Axes, *, from_zero: bool) -> None:
    """Axes as in the other pictures: a light grid, no frame, whole steps, small numbers with a power of ten."""
    if from_zero:
        highest = axes.dataLim.ymax
        axes.set_ylim(0, 1.08 * highest if highest > 0 else 1)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=_TICKS))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=_TICKS))
    axes.ticklabel_format(axis="y", scilimits=(-3, 5), useMathText=True, useOffset=False)
    axes.yaxis.get_offset_text().set(fontsize=8.5, color=FAINT)
    style_axes(axes, 8.5)


def _used_panels(rows: Iterable[Row]) -> list[Panel]:
    recorded = {column for row in rows for column in row}
    return [panel for panel in PANELS if any(recorded.intersection(line.columns) for line in panel.lines)]


def _points(line: Line, rows: Iterable[Row]) -> list[tuple[float, float]]:
    """(step, value) of a curve; steps are counted from 1, so that the last one is the number of steps."""
    points = []
    for row in rows:
        values = [row[column] for column in line.columns if column in row]
        if values:
            points.append((row["step"] + 1, sum(values) / len(values)))
    return points


def _finite(raw: Mapping[str | None, object]) -> dict[str, float]:
    row = {}
    for column, text in raw.items():
        try:
            value = float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError):  # a cell is empty, or a line was cut off
            continue
        if column is not None and math.isfinite(value):
            row[column] = value
    return row
