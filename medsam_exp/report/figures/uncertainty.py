"""Pictures of uncertainty: risk over coverage, reliability diagram, score against DSC, thumbnails to review."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from medsam_exp.metrics.measures import interval, number, signed
from medsam_exp.nnunet.uncertainty.quality import Curve
from medsam_exp.nnunet.uncertainty.reliability import ReliabilityBins
from medsam_exp.nnunet.uncertainty.scores import SCORES
from medsam_exp.report.figures.style import (
    BLUE,
    DIAGONAL,
    FAINT,
    INK,
    MOST_POINTS,
    RED,
    new_figure,
    style_axes,
)
from medsam_exp.stages.pipeline import stage_colour
from medsam_exp.types import Mask, RGBImage

LONGER_SIDE_PX = 192
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


def risk_coverage_figure(curves: Mapping[str, Curve], oracle: Curve) -> Figure:
    """Draw how bad the kept masks are when the least sure are given to a human, by each score.

    Args:
        curves: of `risk_coverage` by score name; the legend has them in the order of their area.
        oracle: the curve of images kept in the order of their true risk.
    """
    figure = new_figure(7.4, 4.0, "constrained")
    axes = figure.add_subplot()
    whole = float(oracle[1][-1])
    axes.axhline(whole, **DIAGONAL, label=f"keep at random  {whole:.3f}")
    ranked = sorted(enumerate(curves), key=lambda item: (float(curves[item[1]][1].mean()), item[1]))
    for place, name in ranked:
        coverage, risk = curves[name]
        label = f"{SCORES.get(name, name)}  {risk.mean():.3f}"
        style = {"color": _LINES[place % len(_LINES)], "ls": _DASHES[place % len(_DASHES)]}
        axes.plot(coverage, risk, lw=1.8, label=label, **_dots(coverage), **style)
    axes.plot(
        *oracle, color=INK, lw=1.2, label=f"best possible order  {oracle[1].mean():.3f}", **_dots(oracle[0])
    )
    highest = max([whole, *(float(risk.max()) for _, risk in curves.values())])
    axes.set(xlim=(0, 1.005), ylim=(0, 1.08 * highest if highest > 0 else 1))
    legend = axes.legend(
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        title="score and area (AURC)",
        title_fontsize=8.5,
        alignment="left",
    )
    legend.get_title().set_color(FAINT)
    below = f"coverage: share of images kept, surest first (n = {len(oracle[0])})"
    style_axes(axes, 9, below, "mean risk of those (1 − DSC)", "Does doubt point at the bad masks?")
    return figure


def reliability_figure(
    before: ReliabilityBins, after: ReliabilityBins | None = None, pixels: str = ""
) -> Figure:
    """Draw what probabilities promise and what occurs, and how many pixels each bin has.

    Args:
        before: of the probabilities as they are.
        after: of the same pixels after temperature scaling; None where there is none.
        pixels: which they are, for the title.
    """
    figure = new_figure(5.0, 5.4, "constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(3.4, 1), sharex=True)
    top.plot([0, 1], [0, 1], **DIAGONAL)
    dashed = (0, (4, 1.5))
    shown: dict[str, tuple[ReliabilityBins | None, dict[str, Any]]] = {
        "as predicted: ": (before, {"color": BLUE, "ls": "-", "marker": "o"}),
        "after temperature scaling: ": (after, {"color": RED, "ls": dashed, "marker": "s"}),
    }
    for label, (bins, style) in shown.items():
        if bins is None:
            continue
        figures = f"{label if after else ''}ECE {number(bins.ece())}, NLL {number(bins.nll())}"
        curve = bins.curve()
        look: dict[str, Any] = {"clip_on": False, "zorder": 3, "ms": 4.5, "lw": 1.6, **style}
        top.plot(curve.confidence, curve.frequency, label=figures, **look)
        bar: dict[str, Any] = {"fill": True, "alpha": 0.5} if bins is before else {"ls": dashed, "lw": 1.4}
        bottom.stairs(bins.counts, np.linspace(0, 1, bins.bins + 1), color=style["color"], **bar)
    top.set(xlim=(0, 1), ylim=(0, 1))
    top.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=INK)
    bottom.set_yscale("symlog", linthresh=1)
    bottom.set_ylim(bottom=0)
    title = f"Calibration, {pixels}" if pixels else "Calibration"
    style_axes(top, y="share of pixels that are target", title=title)
    style_axes(bottom, x="predicted probability of target", y="pixels")
    return figure


def uncertainty_scatter(
    score: ArrayLike, dsc: ArrayLike, label: str, correlation: Mapping[str, Any] | None = None
) -> Figure:
    """Draw each image's score and DSC, of many images evenly many.

    Args:
        score: (n,) of images.
        dsc: (n,) of the same.
        label: name of the score.
        correlation: of `correlations`, to be written beside the points; None leaves it out.
    """
    x, y = np.asarray(score, np.float64), np.asarray(dsc, np.float64)
    figure = new_figure(4.6, 4.0, "constrained")
    axes = figure.add_subplot()
    if label == "expected_dsc":  # on the DSC's own scale, so it should be equal to it
        axes.axline((0, 0), slope=1, **DIAGONAL)
    step = max(1, -(-len(x) // MOST_POINTS))
    axes.scatter(x[::step], y[::step], s=22, color=BLUE, alpha=0.7, lw=0, clip_on=False, zorder=3)
    axes.set(ylim=(-0.02, 1.02))
    axes.margins(x=0.06)
    drawn = f", one in {step} drawn" if step > 1 else ""
    facts = [f"n = {len(x)}{drawn}", *(_coefficient(*figures) for figures in (correlation or {}).items())]
    axes.set_title("\n".join(facts), fontsize=9, color=INK, loc="left", linespacing=1.3)
    style_axes(axes, x=SCORES.get(label, label), y="DSC")
    return figure


def thumbnail(image: RGBImage, mask: Mask) -> Image.Image:
    """The whole image made small, its mask outlined in the ensemble's colour on black.

    Args:
        image: (H, W, 3), original frame.
        mask: (H, W) bool.
    """
    height, width = mask.shape
    scale = LONGER_SIDE_PX / max(height, width)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small = np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    found = np.array(Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BILINEAR)) >= 128
    if mask.any() and not found.any():  # a few pixels must not vanish
        rows, columns = np.nonzero(mask)
        found[int(rows.mean() * size[1] / height), int(columns.mean() * size[0] / width)] = True
    line = found & ~binary_erosion(found, iterations=2)
    small[binary_dilation(found) & ~found] = 0
    small[line] = np.round(255 * np.array(to_rgb(stage_colour("weak")))).astype(np.uint8)
    return Image.fromarray(small)


def _coefficient(name: str, figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return f"{name.capitalize()} not defined"
    return f"{name.capitalize()} {signed(figures['mean'], 2)} {interval(figures['ci95'], 2, signed)}"


def _dots(coverage: NDArray[np.float64]) -> dict[str, Any]:
    """A dot for each of a few images, so that a single one is seen."""
    return {"marker": "o", "ms": 3} if len(coverage) <= 30 else {}
