"""Pictures of grounding: one image's map under four texts, and how well presence is told."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medsam_exp.metrics.measures import interval
from medsam_exp.metrics.presence import OperatingPoint, reliability, roc_points
from medsam_exp.report.figures import panels
from medsam_exp.report.figures.style import FAINT, INK, new_figure, swarm
from medsam_exp.types import RGBImage, SaliencyMap

_PANEL, _TOP, _BOTTOM = 2.6, 1.34, 0.72  # inches
_LINE_LENGTH, _LINES = 36, 3
_OWN, _LINE = "#FFFFFF", "#0072B2"
_EQUAL: dict[str, Any] = {"color": "#b0b0b0", "lw": 1, "ls": (0, (4, 3))}
_KIND_HEIGHT, _TEXT_HEIGHT = 0.42, 0.61  # inches below the top


@dataclass(frozen=True, eq=False)
class TextPanel:
    """A map, (H, W) float32 in [0, 1], original frame, under one text; facts stand below it, one line each."""

    kind: str
    text: str
    saliency_map: SaliencyMap
    facts: tuple[str, ...]


def controls_figure(sample_id: str, image: RGBImage, shown: Sequence[TextPanel]) -> Figure:
    """Draw an image and its map under each text side by side; a cross marks the peak, a circle the first map's."""
    figure, row = panels.row(image.shape, len(shown) + 1, _TOP, _BOTTOM, _PANEL, gap=0.16)
    width, height = figure.get_size_inches()
    left, top = panels.MARGIN / width, 1 - 0.1 / height
    figure.text(left, top, sample_id, weight="bold", fontsize=12, **panels.PLAIN)
    own_peak = _peak(shown[0].saliency_map) if shown else None
    for column, axes in enumerate(row):
        panels.draw_image(axes, image)
        x, panel = axes.get_position(original=True).x0, shown[column - 1] if column else None
        kind = panel.kind if panel else "Image"
        figure.text(x, 1 - _KIND_HEIGHT / height, kind, fontsize=10, weight="bold", **panels.PLAIN)
        if panel:
            text = "\n".join(
                textwrap.wrap(f"“{panel.text}”", _LINE_LENGTH, max_lines=_LINES, placeholder=" …")
            )
            place = (x, 1 - _TEXT_HEIGHT / height)
            figure.text(*place, text, fontsize=8.5, linespacing=1.25, **panels.PLAIN)
            _draw_map(axes, panel, own_peak if column > 1 else None)
            below, style = (x, (_BOTTOM - 0.08) / height), {**panels.PLAIN, "color": FAINT}
            figure.text(*below, "\n".join(panel.facts), fontsize=8.5, linespacing=1.35, **style)
    scale = figure.add_axes((left, 0.44 / height, 0.6 * _PANEL / width, 0.07 / height))
    panels.draw_scale(scale, panels.UNIT, {0: "0", 0.5: "0.5", 1: "1"}, 8)
    marks = "saliency;  + peak,  ○ peak under the own text"
    scale.set_title(marks, fontsize=8, color=FAINT, loc="left", pad=3)
    return figure


def presence_figure(
    score: NDArray[np.float64],
    present: NDArray[np.bool_],
    point: OperatingPoint,
    auc: Mapping[str, Any],
) -> Figure:
    """Draw the ROC curve with its operating point, the scores of both kinds of image, and the reliability.

    Args:
        score: (n,) presence scores.
        present: (n,) whether the target is there.
        point: to be marked.
        auc: area under the curve and its interval, of `presence_figures`.
    """
    figure = new_figure(11.4, 3.9, "constrained")
    roc, scores, reliable = figure.subplots(1, 3)
    _draw_roc(roc, score, present, point, auc)
    _draw_scores(scores, score, present, point)
    _draw_reliability(reliable, score, present)
    for axes in (roc, scores, reliable):
        axes.tick_params(length=0, labelcolor=INK, labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_map(axes: Axes, panel: TextPanel, own_peak: tuple[float, float] | None) -> None:
    panels.draw_saliency(axes, panel.saliency_map)
    marks = [(own_peak, "o", 13.0), (_peak(panel.saliency_map), "+", 11.0)]
    for peak, marker, size in marks:
        if peak is not None:
            for colour, width in (("black", 3.2), (_OWN, 1.6)):
                style: dict[str, Any] = {"ms": size, "mew": width, "mec": colour, "mfc": "none"}
                axes.plot(peak[1], peak[0], marker, **style)


def _draw_roc(
    axes: Axes,
    score: NDArray[np.float64],
    present: NDArray[np.bool_],
    point: OperatingPoint,
    auc: Mapping[str, Any],
) -> None:
    axes.plot([0, 1], [0, 1], **_EQUAL)
    axes.plot(*roc_points(score, present), color=_LINE, lw=2, clip_on=False)
    axes.plot(1 - point.specificity, point.sensitivity, "o", ms=8, mfc="#E69F00", mec=INK, clip_on=False)
    axes.annotate(
        f"threshold {point.threshold:g}:\nsensitivity {point.sensitivity:.2f}\nspecificity {point.specificity:.2f}",
        (1 - point.specificity, point.sensitivity),
        (0.52, 0.1),
        fontsize=9,
        color=INK,
        arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.8},
    )
    axes.set_title(f"ROC, AUC {auc['mean']:.3f} {interval(auc['ci95'])}", fontsize=10.5, color=INK)
    _frame(axes, "false alarms (1 − specificity)", "sensitivity")


def _draw_scores(
    axes: Axes, score: NDArray[np.float64], present: NDArray[np.bool_], point: OperatingPoint
) -> None:
    kinds = ((~present, "without target", "#999999"), (present, "with target", _LINE))
    for place, (kind, _, colour) in enumerate(kinds):
        values = np.sort(score[kind])
        axes.scatter(
            place + swarm(len(values), 0.6), values, s=13, color=colour, alpha=0.75, lw=0, clip_on=False
        )
    axes.axhline(point.threshold, color="#E69F00", lw=1.4, zorder=0)
    labels = [f"{label}\nn = {np.count_nonzero(kind)}" for kind, label, _ in kinds]
    axes.set_xticks(range(len(kinds)), labels)
    axes.set(xlim=(-0.6, 1.6), ylim=(0, 1))
    axes.set_title("presence score of each image", fontsize=10.5, color=INK)


def _draw_reliability(axes: Axes, score: NDArray[np.float64], present: NDArray[np.bool_]) -> None:
    axes.plot([0, 1], [0, 1], **_EQUAL)
    bins = reliability(score, present)
    promised, occurred, counts = (np.array(column, float) for column in zip(*bins, strict=True))
    axes.plot(promised, occurred, color=_LINE, lw=1.2)
    axes.scatter(promised, occurred, s=18 + 240 * counts / counts.sum(), color=_LINE, lw=0, clip_on=False)
    axes.set_title("reliability (area: number of images)", fontsize=10.5, color=INK)
    _frame(axes, "mean score", "share with target")


def _frame(axes: Axes, below: str, beside: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel(below, fontsize=9.5)
    axes.set_ylabel(beside, fontsize=9.5)


def _peak(saliency_map: SaliencyMap) -> tuple[float, float] | None:
    if np.ptp(saliency_map) == 0:
        return None
    y, x = np.argwhere(saliency_map == saliency_map.max()).mean(axis=0)
    return float(y), float(x)
