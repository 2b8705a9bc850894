"""The distribution of scores over images: a box with the quartiles and a point for each image, by stage."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from medsam_exp.report.figures.canvas import Canvas
from medsam_exp.report.figures.style import GRID, INK, MOST_POINTS, SHOWN_SCORES, new_figure, swarm
from medsam_exp.runtime.recent import Recent
from medsam_exp.stages.pipeline import stage_colour, stage_place, stage_title

_LEVEL_NAMES = 3  # columns at most whose names have room beside each other
_HEIGHT, _HEIGHT_OF_MANY = 3.4, 4.4  # inches
_BOX = 0.5  # width, of the distance from one column to the next
_canvases: Recent[Canvas] = Recent(most=4)
"""By the numbers of images; jobs of a sweep mostly score the same images."""

_Columns = dict[str, list[float]]
"""Scores by stage."""


def distribution_picture(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """The same pixels as those of `distribution_figure`; what stands around the points is drawn only once."""
    columns = [_columns(rows, measure.name) for measure in SHOWN_SCORES]
    counts = repr([{stage: len(values) for stage, values in own.items()} for own in columns])
    canvas = _canvases.of(counts, lambda: Canvas(_empty_figure(columns)))
    return Image.fromarray(canvas.pixels(partial(_draw_all, canvas.axes, columns)))


def distribution_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw DSC, IoU and NSD of all images: a box with the quartiles and a point for each image, by stage.

    Args:
        rows: those of per_image.csv; rows without scores are not drawn.
    """
    columns = [_columns(rows, measure.name) for measure in SHOWN_SCORES]
    figure = _empty_figure(columns)
    _draw_all(figure.axes, columns)
    return figure


def _columns(rows: Sequence[Mapping[str, Any]], measure: str) -> _Columns:
    found: _Columns = {}
    for row in rows:
        if isinstance(row.get(measure), int | float):
            found.setdefault(row["stage"], []).append(row[measure])
    return {stage: found[stage] for stage in sorted(found, key=stage_place)}


def _empty_figure(columns: Sequence[_Columns]) -> Figure:
    """Axes with all that does not depend on the scores themselves."""
    height = _HEIGHT if len(columns[0]) <= _LEVEL_NAMES else _HEIGHT_OF_MANY
    figure = new_figure(9.6, height, "constrained")
    for axes, measure, own in zip(figure.subplots(1, 3, sharey=True), SHOWN_SCORES, columns, strict=True):
        labels = [f"{stage_title(stage)}\n{_count(len(values))}" for stage, values in own.items()]
        slanted: dict[str, Any] = {
            "rotation": 40,
            "ha": "right",
            "rotation_mode": "anchor",
            "linespacing": 1.0,
        }
        style = {"fontsize": 9.5} if len(own) <= _LEVEL_NAMES else {"fontsize": 8.5, **slanted}
        axes.set_xticks(range(len(own)), labels, color=INK, **style)
        axes.set(xlim=(-0.6, max(len(own), 1) - 0.4), ylim=(-0.03, 1.03))
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(axis="y", color=GRID, zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_title(measure.label, fontsize=11, color=INK)
    return figure


def _count(images: int) -> str:
    return f"n = {images}" if images <= MOST_POINTS else f"n = {images}, {MOST_POINTS} drawn"


def _draw_all(axes: Sequence[Axes], columns: Sequence[_Columns]) -> None:
    for own, scores in zip(axes, columns, strict=True):
        _draw_columns(own, scores)


def _draw_columns(axes: Axes, columns: _Columns) -> None:
    """A box over each stage's points; of many images the points are evenly spaced among the sorted scores."""
    for place, (stage, values) in enumerate(columns.items()):
        colour = stage_colour(stage)
        count = min(len(values), MOST_POINTS)
        points = np.sort(values)[np.linspace(0, len(values) - 1, count).round().astype(int)]
        axes.scatter(place + swarm(count, 0.36), points, s=13, color=colour, alpha=0.75, lw=0, zorder=2)
        _draw_box(axes, place, values)


def _draw_box(axes: Axes, place: int, values: Sequence[float]) -> None:
    """As `Axes.boxplot` draws it, in fewer lines: quartiles, and whiskers to the last scores within 1.5 of the box."""
    (found,) = boxplot_stats(values)
    left, right, cap = place - _BOX / 2, place + _BOX / 2, _BOX / 4
    first, third, median = found["q1"], found["q3"], found["med"]
    lines = [[(left, first), (right, first), (right, third), (left, third), (left, first)]]
    for near, far in ((first, found["whislo"]), (third, found["whishi"])):
        lines += [[(place, near), (place, far)], [(place - cap, far), (place + cap, far)]]
    style: dict[str, Any] = {"colors": INK, "zorder": 2}
    axes.add_collection(LineCollection(lines, linewidths=1, capstyle="projecting", **style), autolim=False)
    middle = [[(left, median), (right, median)]]
    axes.add_collection(LineCollection(middle, linewidths=2, capstyle="butt", **style), autolim=False)
