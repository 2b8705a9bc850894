"""Pictures of a run: one image with all that was found in it, and the distribution of the scores."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medsam_exp.metrics.measures import MEASURES, number
from medsam_exp.report.figures import panels
from medsam_exp.report.figures.style import GRID, INK, MOST_POINTS, new_figure, swarm
from medsam_exp.stages.pipeline import stage_colour, stage_place, stage_title
from medsam_exp.types import Mask, Prompts, RGBImage, SaliencyMap

_HEADER, _TEXT_LINE, _PANEL_TITLE, _FOOTER = 0.42, 0.18, 0.26, 0.5  # inches
_LONG_LEGEND = 28  # letters; more do not fit below a panel at the usual size
_LEVEL_NAMES = 3  # columns at most whose names have room beside each other
_SHOWN_SCORES = tuple(measure for measure in MEASURES if measure.name in ("dsc", "iou", "nsd"))
_ENSEMBLES = {"weak": panels.ENSEMBLE, "reference": panels.REFERENCE}
_SINGLE = {"weak_single": panels.SINGLE, "reference_single": panels.REFERENCE}
"""Shown where a run has no ensemble."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """One image with everything that a run found in it; parts that the run did not make are None.

    Attributes:
        sample_id: the image's id.
        text: what was looked for.
        image: (H, W, 3) uint8 RGB, original frame, as are all other arrays.
        saliency_map: (H, W) float32 in [0, 1].
        coarse_mask: (H, W) bool.
        prompts: visual prompts made from the coarse mask, in pixels.
        mask: (H, W) bool, SAM's mask.
        nnunet_masks: (H, W) bool each, by short name of the stage ("weak", "reference").
        ground_truth: (H, W) bool.
        scores: of the last stage's mask, by measure.
        scored: short name of that stage.
    """

    sample_id: str
    text: str
    image: RGBImage
    saliency_map: SaliencyMap | None = None
    coarse_mask: Mask | None = None
    prompts: Prompts | None = None
    mask: Mask | None = None
    nnunet_masks: Mapping[str, Mask] = field(default_factory=dict)
    ground_truth: Mask | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    scored: str = ""


_Panel = tuple[str, Callable[[Axes], list[panels.LegendEntry]]]
"""A title, and what draws over the image and returns the legend."""


def overlay_figure(result: ImageResult) -> Figure:
    """Draw a row of panels: image, saliency map, coarse mask with prompts, SAM mask and nnU-Net's with ground truth.

    Panels whose parts the result does not have are left out. A text of more than two lines is cut.
    """
    chosen = _panels(result)
    quoted = f"“{result.text}”" if result.text else ""
    letters = int(11.5 * panels.row_width(max(len(chosen), 2)))
    text = textwrap.wrap(quoted, letters, max_lines=2, placeholder=" …")
    top = _HEADER + _TEXT_LINE * len(text) + _PANEL_TITLE
    figure, row = panels.row(result.image.shape, len(chosen), top, _FOOTER, least=2)
    panels.draw_name(figure, result.sample_id, 5, "\n".join(text), gap=0.23, fontsize=9.5, linespacing=1.2)
    _draw_scores(figure, result)
    resampled: panels.Resampled = {}
    for axes, (title, draw) in zip(row, chosen, strict=True):
        panels.draw_image(axes, result.image, title, resampled)
        entries = draw(axes)
        small = sum(len(label) for label, _ in entries) > _LONG_LEGEND
        spacing = {"columnspacing": 1.2, "handlelength": 2.2, "handletextpad": 0.6}
        panels.draw_legend(axes, entries, 7 if small else 8.5, **spacing)
    return figure


def distribution_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw DSC, IoU and NSD of all images: a box with the quartiles and a point for each image, by stage.

    Args:
        rows: those of per_image.csv; rows without scores are not drawn.
    """
    stages = {row["stage"] for row in rows if isinstance(row.get("dsc"), int | float)}
    height = 3.4 if len(stages) <= _LEVEL_NAMES else 4.4
    figure = new_figure(9.6, height, "constrained")
    for axes, measure in zip(figure.subplots(1, 3, sharey=True), _SHOWN_SCORES, strict=True):
        columns: dict[str, list[float]] = {}
        for row in rows:
            if isinstance(row.get(measure.name), int | float):
                columns.setdefault(row["stage"], []).append(row[measure.name])
        _draw_columns(axes, {stage: columns[stage] for stage in sorted(columns, key=stage_place)})
        axes.set_title(measure.label, fontsize=11, color=INK)
    return figure


def _panels(result: ImageResult) -> list[_Panel]:
    """What the result has: masks one over the other, the truth over all, so that all are seen where they agree."""
    found, scored = result.mask is not None, result.ground_truth is not None
    coarse, truth = (result.coarse_mask, panels.COARSE), (result.ground_truth, panels.TRUTH)
    chosen: list[_Panel] = [("Image", partial(_draw_size, result.image))]
    if result.saliency_map is not None:
        chosen.append(("Saliency map", partial(_draw_saliency, result.saliency_map)))
    if result.coarse_mask is not None or result.prompts:
        title = "Coarse mask and prompts" if result.prompts else "Coarse mask"
        chosen.append((title, partial(_draw_masks, [coarse], result.prompts)))
    if found or (scored and not result.nnunet_masks):
        mask = "SAM mask" if found else "Coarse mask" if result.coarse_mask is not None else ""
        title = " and ".join(part for part in (mask, "ground truth" if scored else "") if part)
        last = (result.mask, panels.SAM) if found else coarse
        chosen.append((title[0].upper() + title[1:], partial(_draw_masks, [last, truth], None)))
    if result.nnunet_masks:
        outlines = _ENSEMBLES if _ENSEMBLES.keys() & result.nnunet_masks else _SINGLE
        trained = [(result.nnunet_masks.get(name), outline) for name, outline in outlines.items()]
        title = "nnU-Net and ground truth" if scored else "nnU-Net"
        chosen.append((title, partial(_draw_masks, [*trained, truth], None)))
    return chosen


def _draw_size(image: RGBImage, axes: Axes) -> list[panels.LegendEntry]:
    height, width = image.shape[:2]
    panels.say_below(axes, f"{width} × {height} px")
    return []


def _draw_saliency(saliency_map: SaliencyMap, axes: Axes) -> list[panels.LegendEntry]:
    panels.draw_saliency(axes, saliency_map)
    scale = axes.inset_axes((0.15, -0.07, 0.7, 0.03))
    panels.draw_scale(scale, panels.UNIT, {0: "0", 0.5: "0.5", 1: "1"})
    return []


def _draw_masks(
    masks: Sequence[tuple[Mask | None, panels.Outline]], prompts: Prompts | None, axes: Axes
) -> list[panels.LegendEntry]:
    return panels.draw_outlines(axes, masks) + (panels.draw_prompts(axes, prompts) if prompts else [])


def _draw_scores(figure: Figure, result: ImageResult) -> None:
    """Scores of the last mask in the upper right corner."""
    width, height = figure.get_size_inches()
    shown = [m for m in _SHOWN_SCORES if m.name in result.scores]
    scores = "    ".join(f"{m.label} {number(result.scores[m.name], m.decimals)}" for m in shown)
    if result.nnunet_masks and scores:  # several masks are drawn, so it must be said whose scores these are
        scores = f"{stage_title(result.scored)}:  {scores}"
    figure.text(1 - panels.MARGIN / width, 1 - 0.12 / height, scores, ha="right", fontsize=11, **panels.PLAIN)


def _count(images: int) -> str:
    return f"n = {images}" if images <= MOST_POINTS else f"n = {images}, {MOST_POINTS} drawn"


def _draw_columns(axes: Axes, columns: Mapping[str, Sequence[float]]) -> None:
    """A box over each stage's points; of many images the points are evenly spaced among the sorted scores."""
    for place, (stage, values) in enumerate(columns.items()):
        colour = stage_colour(stage)
        count = min(len(values), MOST_POINTS)
        points = np.sort(values)[np.linspace(0, len(values) - 1, count).round().astype(int)]
        axes.scatter(place + swarm(count, 0.36), points, s=13, color=colour, alpha=0.75, lw=0, zorder=2)
        axes.boxplot(
            [values],
            positions=[place],
            widths=0.5,
            showfliers=False,
            medianprops={"color": INK, "lw": 2},
            boxprops={"color": INK},
            whiskerprops={"color": INK},
            capprops={"color": INK},
        )
    labels = [f"{stage_title(stage)}\n{_count(len(values))}" for stage, values in columns.items()]
    slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor", "linespacing": 1.0}
    style = {"fontsize": 9.5} if len(columns) <= _LEVEL_NAMES else {"fontsize": 8.5, **slanted}
    axes.set_xticks(range(len(columns)), labels, color=INK, **style)
    axes.set(xlim=(-0.6, max(len(columns), 1) - 0.4), ylim=(-0.03, 1.03))
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(axis="y", color=GRID, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
