"""Pictures of a run: one image with all that was found in it, and the distribution of the scores."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from medsam_exp.metrics.measures import MEASURES, number
from medsam_exp.report.figures import panels
from medsam_exp.report.figures.style import DOTS_PER_INCH, FAINT, INK, cut_name
from medsam_exp.stages.pipeline import stage_colour, stage_place, stage_title
from medsam_exp.types import Mask, Prompts, RGBImage, SaliencyMap

_PANEL, _GAP, _MARGIN = 2.9, 0.12, 0.14  # inches
_HEADER, _TEXT_LINE, _PANEL_TITLE, _FOOTER = 0.42, 0.18, 0.26, 0.5  # inches
_FLATTEST, _TALLEST = 0.6, 1.4  # a panel's height by its width; beyond, the image does not fill it
_LONG_LEGEND = 28  # letters; more do not fit below a panel at the usual size
_LEVEL_NAMES = 3  # columns at most whose names have room beside each other
_SHOWN_SCORES = tuple(measure for measure in MEASURES if measure.name in ("dsc", "iou", "nsd"))

_LAST = {"weak_single": panels.SINGLE, "reference_single": panels.REFERENCE}
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


Panel = tuple[str, Callable[[Axes, ImageResult], list[panels.LegendEntry]]]
"""A title, and what draws over the image and returns the legend."""


def overlay_figure(result: ImageResult) -> Figure:
    """Draw a row of panels: image, saliency map, coarse mask with prompts, SAM mask and nnU-Net's with ground truth.

    Panels whose parts the result does not have are left out. A text of more than two lines is cut.
    """
    chosen = _panels(result)
    height, width = result.image.shape[:2]
    panel_height = _PANEL * float(np.clip(height / width, _FLATTEST, _TALLEST))
    figure_width = 2 * _MARGIN + max(len(chosen), 2) * (_PANEL + _GAP) - _GAP
    quoted = f"“{result.text}”" if result.text else ""
    text = textwrap.wrap(quoted, int(11.5 * figure_width), max_lines=2, placeholder=" …")
    figure_height = _HEADER + _TEXT_LINE * len(text) + _PANEL_TITLE + panel_height + _FOOTER
    figure = Figure(figsize=(figure_width, figure_height), dpi=DOTS_PER_INCH, facecolor="white")
    _draw_header(figure, result, "\n".join(text))
    for column, (title, draw) in enumerate(chosen):
        left = _MARGIN + column * (_PANEL + _GAP)
        bounds = (left / figure_width, _FOOTER / figure_height)
        axes = figure.add_axes((*bounds, _PANEL / figure_width, panel_height / figure_height))
        panels.draw_image(axes, result.image)
        axes.set_title(title, fontsize=10, color=INK, pad=5, y=1)  # where it stands need not be searched for
        _draw_legend(axes, draw(axes, result))
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return figure


def distribution_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw DSC, IoU and NSD of all images: a box with the quartiles and a point for each image, by stage.

    Args:
        rows: those of per_image.csv; rows without scores are not drawn.
    """
    stages = {row["stage"] for row in rows if isinstance(row.get("dsc"), int | float)}
    height = 3.4 if len(stages) <= _LEVEL_NAMES else 4.4
    figure = Figure(figsize=(9.6, height), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    for axes, measure in zip(figure.subplots(1, 3, sharey=True), _SHOWN_SCORES, strict=True):
        columns: dict[str, list[float]] = {}
        for row in rows:
            if isinstance(row.get(measure.name), int | float):
                columns.setdefault(row["stage"], []).append(row[measure.name])
        _draw_columns(axes, {stage: columns[stage] for stage in sorted(columns, key=stage_place)})
        axes.set_title(measure.label, fontsize=11, color=INK)
    return figure


def _panels(result: ImageResult) -> list[Panel]:
    chosen: list[Panel] = [("Image", _image_panel)]
    if result.saliency_map is not None:
        chosen.append(("Saliency map", _saliency_panel))
    if result.coarse_mask is not None or result.prompts:
        chosen.append(("Coarse mask and prompts" if result.prompts else "Coarse mask", _coarse_panel))
    found, truth = result.mask is not None, result.ground_truth is not None
    if found or (truth and not result.nnunet_masks):
        mask = "SAM mask" if found else "Coarse mask" if result.coarse_mask is not None else ""
        title = " and ".join(part for part in (mask, "ground truth" if truth else "") if part)
        chosen.append((title[0].upper() + title[1:], _result_panel))
    if result.nnunet_masks:
        chosen.append(("nnU-Net and ground truth" if truth else "nnU-Net", _nnunet_panel))
    return chosen


def _image_panel(axes: Axes, result: ImageResult) -> list[panels.LegendEntry]:
    height, width = result.image.shape[:2]
    axes.annotate(
        f"{width} × {height} px",
        (0.5, 0),
        (0, -8),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=8.5,
        color=FAINT,
    )
    return []


def _saliency_panel(axes: Axes, result: ImageResult) -> list[panels.LegendEntry]:
    assert result.saliency_map is not None
    panels.draw_saliency(axes, result.saliency_map)
    scale = axes.inset_axes((0.15, -0.07, 0.7, 0.03))
    colours = ScalarMappable(Normalize(0, 1), panels.COLOUR_MAP)
    assert axes.figure is not None
    bar = axes.figure.colorbar(colours, cax=scale, orientation="horizontal", ticks=[0, 0.5, 1])
    bar.ax.tick_params(labelsize=8.5, length=2, pad=2, labelcolor=FAINT)
    bar.ax.set_xticklabels(["0", "0.5", "1"])
    return []


def _coarse_panel(axes: Axes, result: ImageResult) -> list[panels.LegendEntry]:
    entries = (
        [] if result.coarse_mask is None else [panels.draw_outline(axes, result.coarse_mask, panels.COARSE)]
    )
    return entries + (panels.draw_prompts(axes, result.prompts) if result.prompts else [])


def _result_panel(axes: Axes, result: ImageResult) -> list[panels.LegendEntry]:
    """The last mask and over it the truth, so that both are seen where they agree."""
    last = (result.mask, panels.SAM) if result.mask is not None else (result.coarse_mask, panels.COARSE)
    return [
        panels.draw_outline(axes, mask, outline)
        for mask, outline in (last, (result.ground_truth, panels.TRUTH))
        if mask is not None
    ]


def _nnunet_panel(axes: Axes, result: ImageResult) -> list[panels.LegendEntry]:
    """What was trained on weak labels, over it what was trained on true masks, and over both the truth."""
    found = result.nnunet_masks
    ensembles = {"weak": panels.ENSEMBLE, "reference": panels.REFERENCE}
    shown = {name: outline for name, outline in ensembles.items() if name in found}
    if not shown:
        shown = {name: _LAST[name] for name in _LAST if name in found}
    drawn = [panels.draw_outline(axes, found[name], outline) for name, outline in shown.items()]
    if result.ground_truth is not None:
        drawn.append(panels.draw_outline(axes, result.ground_truth, panels.TRUTH))
    return drawn


def _draw_legend(axes: Axes, entries: list[panels.LegendEntry]) -> None:
    if entries:
        labels, handles = zip(*entries, strict=True)
        small = sum(map(len, labels)) > _LONG_LEGEND
        axes.legend(
            handles,
            labels,
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            ncols=min(len(entries), 2) if len(entries) != 3 else 3,
            frameon=False,
            fontsize=7 if small else 8.5,
            labelcolor=INK,
            borderaxespad=0.4,
            columnspacing=1.2,
            handlelength=2.2,
            handletextpad=0.6,
        )


def _draw_header(figure: Figure, result: ImageResult, text: str) -> None:
    """Id and text to the left, scores to the right."""
    width, height = figure.get_size_inches()
    left, top = _MARGIN / width, 1 - 0.12 / height
    plain: dict[str, Any] = {"va": "top", "parse_math": False, "color": INK}
    figure.text(left, top, cut_name(result.sample_id, int(5 * width)), weight="bold", fontsize=12, **plain)
    figure.text(left, top - 0.23 / height, text, fontsize=9.5, linespacing=1.2, **plain)
    shown = [m for m in _SHOWN_SCORES if m.name in result.scores]
    scores = "    ".join(f"{m.label} {number(result.scores[m.name], m.decimals)}" for m in shown)
    if result.nnunet_masks and scores:  # several masks are drawn, so it must be said whose scores these are
        scores = f"{stage_title(result.scored)}:  {scores}"
    figure.text(1 - left, top, scores, ha="right", fontsize=11, **plain)


def _draw_columns(axes: Axes, columns: Mapping[str, Sequence[float]]) -> None:
    """A box over each stage's points; the points are spread by the golden ratio, not by chance."""
    for place, (stage, values) in enumerate(columns.items()):
        colour = stage_colour(stage)
        spread = 0.36 * (np.arange(1, len(values) + 1) * 0.6180339887 % 1 - 0.5)
        axes.scatter(place + spread, np.sort(values), s=13, color=colour, alpha=0.75, lw=0, zorder=2)
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
    labels = [f"{stage_title(stage)}\nn = {len(values)}" for stage, values in columns.items()]
    slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor", "linespacing": 1.0}
    style = {"fontsize": 9.5} if len(columns) <= _LEVEL_NAMES else {"fontsize": 8.5, **slanted}
    axes.set_xticks(range(len(columns)), labels, color=INK, **style)
    axes.set(xlim=(-0.6, max(len(columns), 1) - 0.4), ylim=(-0.03, 1.03))
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(axis="y", color="#e4e4e4", zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
