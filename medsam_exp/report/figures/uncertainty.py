"""Pictures of uncertainty: risk over coverage, reliability diagram, score against DSC, thumbnails to review."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from medsam_exp.metrics.measures import interval, number
from medsam_exp.nnunet.uncertainty.quality import Curve
from medsam_exp.nnunet.uncertainty.reliability import ReliabilityBins
from medsam_exp.report.figures.style import BLUE, DIAGONAL, FAINT, INK, RED, new_figure, style_axes
from medsam_exp.stages.pipeline import stage_colour
from medsam_exp.types import Mask, RGBImage

SCORE_LABELS = {
    "entropy_inside": "mean entropy in the mask",
    "entropy_boundary": "mean entropy along the boundary",
    "mutual_information_boundary": "mutual information along the boundary",
    "entropy_per_edge_released": "entropy by edge length (released)",
    "expected_dsc": "expected DSC",
    "disagreement": "disagreement of the members",
}
"""How image scores are called; others are called by their name."""
LONGER_SIDE_PX = 192
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


def risk_coverage_figure(curves: Mapping[str, Curve], oracle: Curve, risk_label: str = "1 − DSC") -> Figure:
    """Draw how bad the kept masks are when the least sure are given to a human, by each score.

    Args:
        curves: of `risk_coverage` by score name; the legend has them in the order of their area.
        oracle: the curve of images kept in the order of their true risk.
        risk_label: what the risk is.
    """
    figure = new_figure(7.4, 4.0, "constrained")
    axes = figure.add_subplot()
    whole = float(oracle[1][-1])
    axes.axhline(whole, **DIAGONAL, label=f"keep at random  {whole:.3f}")
    ranked = sorted(enumerate(curves), key=lambda item: (float(curves[item[1]][1].mean()), item[1]))
    for place, name in ranked:
        coverage, risk = curves[name]
        label = f"{SCORE_LABELS.get(name, name)}  {risk.mean():.3f}"
        style = {"color": _LINES[place % len(_LINES)], "ls": _DASHES[place % len(_DASHES)]}
        axes.plot(coverage, risk, lw=1.8, label=label, **_dots(coverage), **style)
    axes.plot(
        *oracle, color=INK, lw=1.2, label=f"best possible order  {oracle[1].mean():.3f}", **_dots(oracle[0])
    )
    highest = max([whole, *(float(risk.max()) for _, risk in curves.values())])
    axes.set(xlim=(0, 1.005), ylim=(0, 1.08 * highest if highest > 0 else 1))
    axes.set_xlabel(
        f"coverage: share of images kept, surest first (n = {len(oracle[0])})", fontsize=9.5, color=INK
    )
    axes.set_ylabel(f"mean risk of those ({risk_label})", fontsize=9.5, color=INK)
    axes.set_title("Does doubt point at the bad masks?", fontsize=11, color=INK, loc="left")
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
    style_axes(axes, 9)
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
    shown: list[tuple[ReliabilityBins, str, str, Any, str]] = [
        (before, "as predicted" if after else "", BLUE, "-", "o")
    ]
    if after is not None:
        shown.append((after, "after temperature scaling", RED, (0, (4, 1.5)), "s"))
    for bins, label, colour, dashes, marker in shown:
        curve = bins.curve()
        figures = f"ECE {number(bins.ece())}, NLL {number(bins.nll())}"
        line: dict[str, Any] = {"color": colour, "ls": dashes, "marker": marker, "ms": 4.5, "lw": 1.6}
        line["label"] = f"{label}: {figures}" if label else figures
        top.plot(curve.confidence, curve.frequency, clip_on=False, zorder=3, **line)
        bar: dict[str, Any] = {"fill": True, "alpha": 0.5} if bins is before else {"ls": dashes, "lw": 1.4}
        bottom.stairs(bins.counts, np.linspace(0, 1, bins.bins + 1), color=colour, **bar)
    top.set(xlim=(0, 1), ylim=(0, 1))
    top.set_ylabel("share of pixels that are target", fontsize=9.5, color=INK)
    title = f"Calibration, {pixels}" if pixels else "Calibration"
    top.set_title(title, fontsize=11, color=INK, loc="left")
    top.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=INK)
    bottom.set_yscale("symlog", linthresh=1)
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("pixels", fontsize=9.5, color=INK)
    bottom.set_xlabel("predicted probability of target", fontsize=9.5, color=INK)
    for axes in (top, bottom):
        style_axes(axes, 9)
    return figure


def uncertainty_scatter(
    score: ArrayLike, dsc: ArrayLike, label: str, correlation: Mapping[str, Any] | None = None
) -> Figure:
    """Draw each image's score and DSC.

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
    axes.scatter(x, y, s=22, color=BLUE, alpha=0.7, lw=0, clip_on=False, zorder=3)
    axes.set(ylim=(-0.02, 1.02))
    axes.margins(x=0.06)
    axes.set_xlabel(SCORE_LABELS.get(label, label), fontsize=9.5, color=INK)
    axes.set_ylabel("DSC", fontsize=9.5, color=INK)
    facts = [f"n = {len(x)}", *(_coefficient(*figures) for figures in (correlation or {}).items())]
    axes.set_title("\n".join(facts), fontsize=9, color=INK, loc="left", linespacing=1.3)
    style_axes(axes, 9)
    return figure


def thumbnail(image: RGBImage, mask: Mask, path: Path) -> None:
    """Write the whole image, its mask outlined in the ensemble's colour on black.

    Args:
        image: (H, W, 3), original frame.
        mask: (H, W) bool.
        path: of the PNG.
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
    Image.fromarray(small).save(path)


def _coefficient(name: str, figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return f"{name.capitalize()} not defined"
    return f"{name.capitalize()} {figures['mean']:.2f} {interval(figures['ci95'], 2)}".replace("-", "−")


def _dots(coverage: NDArray[np.float64]) -> dict[str, Any]:
    """A dot for each of a few images, so that a single one is seen."""
    return {"marker": "o", "ms": 3} if len(coverage) <= 30 else {}
