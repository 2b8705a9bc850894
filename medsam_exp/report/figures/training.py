"""A run's training curves as small pictures, one for each quantity, over the optimizer's steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medsam_exp.report.figures.style import BLUE, FAINT, GREEN, INK, RED, new_figure, style_axes
from medsam_exp.report.pictures import Picture
from medsam_exp.report.topics.retrieval import DIRECTIONS

_WIDTH, _ROW = 9.6, 2.45  # inches
_TICKS = (1, 2, 2.5, 5, 10)
_MARKED = 30  # points at most that get a dot each, so that a single one is seen


@dataclass(frozen=True)
class _Line:
    """One curve: the mean of those columns of the file that a row has."""

    label: str
    columns: tuple[str, ...]
    colour: str = BLUE
    dashed: bool = False


@dataclass(frozen=True)
class _Panel:
    """One quantity; `factor` leads from the file's unit to that of the title."""

    title: str
    lines: tuple[_Line, ...]
    hint: str = ""
    factor: float = 1.0
    from_zero: bool = True


_PANELS = (
    _Panel(
        "Loss",
        (
            _Line("training", ("train/loss",)),
            _Line("validation", ("val/loss", "val/loss_box", "val/loss_points", "val/loss_both"), RED, True),
        ),
        from_zero=False,
    ),
    _Panel(
        "Pseudo-Dice, validation",
        (_Line("", ("val/pseudo_dice",)),),
        "The pseudo-Dice counts all pixels of an epoch's validation patches together, and is measured against the "
        "labels that are trained on; it is no score of masks.",
    ),
    _Panel(
        "Retrieval top-1, validation (%)",
        tuple(
            _Line(label, (f"val/top1_{name}",), *style)
            for (name, label), style in zip(DIRECTIONS.items(), ((BLUE, False), (RED, True)), strict=True)
        ),
        "Top-1 is the share of a validation batch whose right partner comes first. "
        "Contrastive losses grow with the batch, so compare training with validation only where their batches "
        "are equally large.",
        factor=100,
    ),
    _Panel(
        "DSC by prompt, validation",
        (
            _Line("box", ("val/dsc_box",)),
            _Line("points", ("val/dsc_points",), RED, True),
            _Line("both", ("val/dsc_both",), GREEN),
        ),
    ),
    _Panel("Temperature", (_Line("", ("train/temperature",)),)),
    _Panel(
        "Embedding spread (cosine distance)",
        (_Line("image", ("train/image_spread",)), _Line("text", ("train/text_spread",), RED, True)),
        "The spread is the mean cosine distance within a training batch: near 0 all embeddings are alike.",
    ),
    _Panel("Learning rate", (_Line("", ("train/learning_rate",)),)),
    _Panel("Images per second", (_Line("", ("train/images_per_second",)),)),
)
_TRAINED_ON = {"weak": "weak labels", "reference": "the reference's labels"}
_DRAWN = frozenset(column for panel in _PANELS for line in panel.lines for column in line.columns)


@dataclass(frozen=True, eq=False)
class _Training:
    """What one training recorded: `step`, from 0, and finite figures in the order of their recording."""

    name: str  # "weak/fold_0" where a run has several of a kind, else ""; no part of the columns
    rows: pd.DataFrame


def draw_trainings(path: Path) -> Iterator[Picture]:
    """Every training of a run: `training`, further ones `training_2` and so on.

    Args:
        path: the run's `curves/metrics.csv`; it need not exist.
    """
    for number, training in enumerate(_read_trainings(path), start=1):
        hints = [panel.hint for panel in _used_panels(training.rows) if panel.hint]
        said = f"training: {_named(training.name)}Curves over the optimizer's steps."
        name = "training" if number == 1 else f"training_{number}"
        draw = partial(_training_figure, training.rows)
        yield Picture(" ".join([said, *hints]), name, training.rows.to_json(double_precision=15), draw)


def _named(training: str) -> str:
    """A training's name for readers, at the beginning of a caption."""
    source, _, fold = training.partition("/fold_")
    return f"nnU-Net on {_TRAINED_ON.get(source, source)}, fold {fold}. " if training else ""


def _read_trainings(path: Path) -> list[_Training]:
    """Trainings in the order of the file; a new one has another name, or counts from 0 again.

    Empty and infinite values, and those that are no numbers, are left out.
    """
    try:
        table = pd.read_csv(path, on_bad_lines="skip")
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return []
    if "step" not in table:
        return []
    table = table.apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    named: dict[str, dict[str, str]] = {}
    for column in table.columns:
        parts = column.split("/")
        if (figure := "/".join(parts[-2:])) in _DRAWN:
            named.setdefault("/".join(parts[:-2]), {})[column] = figure
    trainings = []
    for name, columns in named.items():
        recorded = table["step"].notna() & table[list(columns)].notna().any(axis=1)
        own = table.loc[recorded, ["step", *columns]].rename(columns=columns)
        for _, rows in own.groupby((own["step"].diff() < 0).cumsum()):
            trainings.append(_Training(name, rows.dropna(axis=1, how="all")))
    return sorted(trainings, key=lambda training: training.rows.index[0])


def _training_figure(rows: pd.DataFrame) -> Figure:
    """Draw one training; quantities that were never recorded are left out."""
    chosen = _used_panels(rows)
    columns = min(3, math.ceil(math.sqrt(len(chosen))))
    lines = math.ceil(len(chosen) / columns)
    figure = new_figure(_WIDTH, lines * _ROW + 0.1, "constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(lines, columns, squeeze=False).flat
    for axes in grid[len(chosen) :]:
        axes.remove()
    for number, panel in enumerate(chosen):
        _draw(grid[number], panel, rows)
        grid[number].set_xlim(0, 1.02 * (rows["step"].max() + 1))
        if number + columns >= len(chosen):  # nothing stands below
            grid[number].set_xlabel("optimizer step", fontsize=9, color=FAINT)
    return figure


def _draw(axes: Axes, panel: _Panel, rows: pd.DataFrame) -> None:
    """The panel's curves; steps are counted from 1, so that the last one is the number of steps."""
    drawn = [line for line in panel.lines if not rows.columns.intersection([*line.columns]).empty]
    for line in drawn:
        values = rows.reindex(columns=line.columns).mean(axis=1).dropna()
        axes.plot(
            rows.loc[values.index, "step"] + 1,
            panel.factor * values,
            color=line.colour,
            ls=(0, (4, 1.5)) if line.dashed else "-",
            lw=1.6,
            marker="o" if len(values) <= _MARKED else "",
            ms=3.2,
            label=line.label,
            clip_on=False,
        )
    axes.set_title(panel.title, loc="left", fontsize=10, color=INK, pad=20)
    if any(line.label for line in drawn):
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(drawn),
            frameon=False,
            fontsize=8.5,
            labelcolor=INK,
            borderpad=0,
            borderaxespad=0.3,
            columnspacing=1.2,
            handlelength=2,
            handletextpad=0.5,
        )
    if panel.from_zero:
        highest = axes.dataLim.ymax
        axes.set_ylim(0, 1.08 * highest if highest > 0 else 1)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=_TICKS))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=_TICKS))
    axes.ticklabel_format(axis="y", scilimits=(-3, 5), useMathText=True, useOffset=False)
    axes.yaxis.get_offset_text().set(fontsize=8.5, color=FAINT)
    style_axes(axes, 8.5)


def _used_panels(rows: pd.DataFrame) -> list[_Panel]:
    recorded = set(rows.columns)
    return [panel for panel in _PANELS if any(recorded.intersection(line.columns) for line in panel.lines)]
