"""Pictures of grounding: one image's map under four texts, and how well presence is told."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medsam_exp.metrics.measures import interval
from medsam_exp.metrics.presence import OperatingPoint, reliability, roc_points
from medsam_exp.report.figures import panels
from medsam_exp.report.figures.style import FAINT, INK
from medsam_exp.types import RGBImage, SaliencyMap

_PANEL, _GAP, _MARGIN, _TOP, _BOTTOM = 2.6, 0.16, 0.14, 1.34, 0.72  # inches
_LINE_LENGTH, _LINES = 36, 3
_OWN, _LINE = "#FFFFFF", "#0072B2"
_KIND_HEIGHT, _TEXT_HEIGHT = 0.42, 0.61  # inches below the top


@dataclass(frozen=True, eq=False)
class TextPanel:
    """A map under one text.

    Attributes:
        kind: of text, for readers.
        text: itself.
        saliency_map: (H, W) float32 in [0, 1], original frame.
        facts: below the picture, one line each.
    """

    kind: str
    text: str
    saliency_map: SaliencyMap
    facts: tuple[str, ...]


def controls_figure(sample_id: str, image: RGBImage, shown: Sequence[TextPanel]) -> Figure:
    """Draw an image and its map under each text side by side; a cross marks the peak, a circle the first map's."""
    height, width = image.shape[:2]
    panel_height = _PANEL * float(np.clip(height / width, 0.6, 1.4))
    total = (2 * _MARGIN + (len(shown) + 1) * (_PANEL + _GAP) - _GAP, _TOP + panel_height + _BOTTOM)
    figure = Figure(figsize=total, dpi=150, facecolor="white")
    left, top = _MARGIN / total[0], 1 - 0.1 / total[1]
    figure.text(left, top, sample_id, va="top", weight="bold", fontsize=12, color=INK, parse_math=False)
    own_peak = _peak(shown[0].saliency_map) if shown else None
    for column in range(len(shown) + 1):
        x = (_MARGIN + column * (_PANEL + _GAP)) / total[0]
        axes = figure.add_axes((x, _BOTTOM / total[1], _PANEL / total[0], panel_height / total[1]))
        panels.draw_image(axes, image)
        panel = shown[column - 1] if column else None
        kind = panel.kind if panel else "Image"
        figure.text(x, 1 - _KIND_HEIGHT / total[1], kind, va="top", fontsize=10, weight="bold", color=INK)
        if panel:
            text = "\n".join(
                textwrap.wrap(f"“{panel.text}”", _LINE_LENGTH, max_lines=_LINES, placeholder=" …")
            )
            place = (x, 1 - _TEXT_HEIGHT / total[1])
            figure.text(*place, text, va="top", fontsize=8.5, color=INK, linespacing=1.25, parse_math=False)
            _draw_map(axes, panel, own_peak if column > 1 else None)
            bottom = (x, (_BOTTOM - 0.08) / total[1])
            figure.text(
                *bottom, "\n".join(panel.facts), va="top", fontsize=8.5, color=FAINT, linespacing=1.35
            )
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    _draw_scale(figure, (left, 0.44 / total[1], 0.6 * _PANEL / total[0], 0.07 / total[1]))
    return figure


def presence_figure(
    score: NDArray[np.float64],
    present: NDArray[np.bool_],
    point: OperatingPoint,
    auc: float,
    ci95: Sequence[float] | None,
) -> Figure:
    """Draw the ROC curve with its operating point, the scores of both kinds of image, and the reliability.

    Args:
        score: (n,) presence scores.
        present: (n,) whether the target is there.
        point: to be marked.
        auc: area under the curve.
        ci95: its 95 % confidence interval; None where it has none.
    """
    figure = Figure(figsize=(11.4, 3.9), dpi=150, facecolor="white", layout="constrained")
    roc, scores, reliable = figure.subplots(1, 3)
    _draw_roc(roc, score, present, point, f"{auc:.3f} {interval(ci95)}")
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


def _draw_scale(figure: Figure, bounds: tuple[float, float, float, float]) -> None:
    axes = figure.add_axes(bounds)
    colours = ScalarMappable(Normalize(0, 1), panels.COLOUR_MAP)
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", ticks=[0, 0.5, 1])
    bar.ax.tick_params(labelsize=8, length=2, pad=2, labelcolor=FAINT)
    bar.ax.set_xticklabels(["0", "0.5", "1"])
    bar.ax.set_title(
        "saliency;  + peak,  ○ peak under the own text", fontsize=8, color=FAINT, loc="left", pad=3
    )


def _draw_roc(
    axes: Axes,
    score: NDArray[np.float64],
    present: NDArray[np.bool_],
    point: OperatingPoint,
    auc: str,
) -> None:
    axes.plot([0, 1], [0, 1], color="#b0b0b0", lw=1, ls=(0, (4, 3)))
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
    axes.set_title(f"ROC, AUC {auc}", fontsize=10.5, color=INK)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("false alarms (1 − specificity)", fontsize=9.5)
    axes.set_ylabel("sensitivity", fontsize=9.5)


def _draw_scores(
    axes: Axes, score: NDArray[np.float64], present: NDArray[np.bool_], point: OperatingPoint
) -> None:
    """Every image's score; spread by the golden ratio, not by chance."""
    kinds = ((~present, "without target", "#999999"), (present, "with target", _LINE))
    for place, (kind, _, colour) in enumerate(kinds):
        values = np.sort(score[kind])
        spread = 0.6 * (np.arange(1, len(values) + 1) * 0.6180339887 % 1 - 0.5)
        axes.scatter(place + spread, values, s=13, color=colour, alpha=0.75, lw=0, clip_on=False)
    axes.axhline(point.threshold, color="#E69F00", lw=1.4, zorder=0)
    labels = [f"{label}\nn = {np.count_nonzero(kind)}" for kind, label, _ in kinds]
    axes.set_xticks(range(len(kinds)), labels)
    axes.set(xlim=(-0.6, 1.6), ylim=(0, 1))
    axes.set_title("presence score of each image", fontsize=10.5, color=INK)


def _draw_reliability(axes: Axes, score: NDArray[np.float64], present: NDArray[np.bool_]) -> None:
    axes.plot([0, 1], [0, 1], color="#b0b0b0", lw=1, ls=(0, (4, 3)))
    bins = reliability(score, present)
    promised, occurred, counts = (np.array(column, float) for column in zip(*bins, strict=True))
    axes.plot(promised, occurred, color=_LINE, lw=1.2)
    axes.scatter(promised, occurred, s=18 + 240 * counts / counts.sum(), color=_LINE, lw=0, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_title("reliability (area: number of images)", fontsize=10.5, color=INK)
    axes.set_xlabel("mean score", fontsize=9.5)
    axes.set_ylabel("share with target", fontsize=9.5)


def _peak(saliency_map: SaliencyMap) -> tuple[float, float] | None:
    if np.ptp(saliency_map) == 0:
        return None
    y, x = np.argwhere(saliency_map == saliency_map.max()).mean(axis=0)
    return float(y), float(x)
