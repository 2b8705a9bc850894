"""Pictures of a run: one image with all that was found in it, and the distribution of the scores."""

import hashlib
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.metrics.measures import MEASURES, number
from medsam_exp.report.figures import panels
from medsam_exp.report.figures.style import (
    GRID,
    INK,
    MOST_POINTS,
    new_figure,
    pixels_of,
    swarm,
)
from medsam_exp.report.png_file import DOTS_PER_INCH
from medsam_exp.runtime.recent import Recent
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


_Panel = tuple[str, Callable[..., list[panels.LegendEntry]], tuple[Any, ...]]
"""A title, and what draws over the image and returns the legend, with what it draws."""
_drawn: Recent[NDArray[np.uint8]] = Recent(most=120)
"""Pixels of panels, 1.2 MB each at most: jobs of a sweep, and parts of one run, have many in common."""
_resampled: Recent[panels.Resampled] = Recent(most=60)
"""Images at the size of a panel, 1.1 MB each at most."""


def overlay_picture(result: ImageResult) -> Image.Image:
    """The same pixels as those of `overlay_figure`, of panels that are drawn only where they are not remembered."""
    chosen, top = _panels(result), _top(result)
    pixels = _with_header(result, len(chosen), top)
    image = _digest(result.image)
    for column, panel in enumerate(chosen):
        draw = partial(_panel_pixels, result.image, image, panel, top)
        found = _drawn.of(_digest(image, top, panel), draw)
        left = round(column * panels.PITCH * DOTS_PER_INCH)
        under = pixels[: len(found), left : left + found.shape[1]]
        # What is drawn is darker than the white between.
        np.minimum(under, found[: len(under), : under.shape[1]], out=under)
    return Image.fromarray(pixels)


def overlay_figure(result: ImageResult) -> Figure:
    """Draw a row of panels: image, saliency map, coarse mask with prompts, SAM mask and nnU-Net's with ground truth.

    Panels whose parts the result does not have are left out. A text of more than two lines is cut.
    """
    chosen = _panels(result)
    figure, row = panels.row(result.image.shape, len(chosen), _top(result), _FOOTER, least=2)
    _draw_header(figure, result)
    resampled: panels.Resampled = {}
    for axes, panel in zip(row, chosen, strict=True):
        _draw_panel(axes, result.image, panel, resampled)
    return figure


def _digest(*parts: Any) -> bytes:
    """Of everything in values: arrays, functions by their names, what holds others, and plain values."""
    hasher = hashlib.sha256()
    for part in parts:
        match part:
            case np.ndarray():
                said, content = f"{part.shape} {part.dtype}", part.tobytes()
            case Prompts():
                said, content = "prompts", _digest(*vars(part).values())
            case list() | tuple():
                said, content = "several", _digest(*part)
            case bytes():
                said, content = "bytes", part
            case _:
                said, content = getattr(part, "__qualname__", ""), repr(part).encode()
        hasher.update(f"{said} {len(content)} ".encode())
        hasher.update(content)
    return hasher.digest()


def _with_header(result: ImageResult, count: int, top: float) -> NDArray[np.uint8]:
    """(height, width, 3) pixels of a picture that has no panels yet; only as much is drawn as the header needs."""
    figure, _ = panels.row(result.image.shape, 0, top, _FOOTER, least=max(count, 2))
    width, height = figure.get_size_inches()
    dots = int(round(height * DOTS_PER_INCH, 6))  # 665.9999999 are 666, as for matplotlib
    below = max(0, dots - math.ceil(top * DOTS_PER_INCH))
    figure.set_size_inches(width, height - below / DOTS_PER_INCH)
    _draw_header(figure, result)
    header = np.asarray(pixels_of(figure))
    return np.pad(header, ((0, dots - len(header)), (0, 0), (0, 0)), constant_values=255)


def _panel_pixels(image: RGBImage, digest: bytes, panel: _Panel, top: float) -> NDArray[np.uint8]:
    """(height of the picture, width of a panel and its margins, 3) pixels of one panel, white around it."""
    figure, (axes,) = panels.row(image.shape, 1, top, _FOOTER)
    _draw_panel(axes, image, panel, _resampled.of(digest, dict))
    pixels = np.array(pixels_of(figure))
    pixels.setflags(write=False)
    return pixels


def _draw_panel(axes: Axes, image: RGBImage, panel: _Panel, resampled: panels.Resampled) -> None:
    title, draw, shown = panel
    panels.draw_image(axes, image, title, resampled)
    entries = draw(*shown, axes)
    small = sum(len(label) for label, _ in entries) > _LONG_LEGEND
    spacing = {"columnspacing": 1.2, "handlelength": 2.2, "handletextpad": 0.6}
    panels.draw_legend(axes, entries, 7 if small else 8.5, **spacing)


def _quoted(result: ImageResult) -> list[str]:
    """The lines of the text."""
    letters = int(11.5 * panels.row_width(max(len(_panels(result)), 2)))
    quoted = f"“{result.text}”" if result.text else ""
    return textwrap.wrap(quoted, letters, max_lines=2, placeholder=" …")


def _top(result: ImageResult) -> float:
    """Room above the panels, in inches."""
    return _HEADER + _TEXT_LINE * len(_quoted(result)) + _PANEL_TITLE


def _draw_header(figure: Figure, result: ImageResult) -> None:
    said = "\n".join(_quoted(result))
    panels.draw_name(figure, result.sample_id, 5, said, gap=0.23, fontsize=9.5, linespacing=1.2)
    _draw_scores(figure, result)


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
    chosen: list[_Panel] = [("Image", _draw_size, (result.image.shape,))]
    if result.saliency_map is not None:
        chosen.append(("Saliency map", _draw_saliency, (result.saliency_map,)))
    if result.coarse_mask is not None or result.prompts:
        title = "Coarse mask and prompts" if result.prompts else "Coarse mask"
        chosen.append((title, _draw_masks, ([coarse], result.prompts)))
    if found or (scored and not result.nnunet_masks):
        mask = "SAM mask" if found else "Coarse mask" if result.coarse_mask is not None else ""
        title = " and ".join(part for part in (mask, "ground truth" if scored else "") if part)
        last = (result.mask, panels.SAM) if found else coarse
        chosen.append((title[0].upper() + title[1:], _draw_masks, ([last, truth], None)))
    if result.nnunet_masks:
        outlines = _ENSEMBLES if _ENSEMBLES.keys() & result.nnunet_masks else _SINGLE
        trained = [(result.nnunet_masks.get(name), outline) for name, outline in outlines.items()]
        title = "nnU-Net and ground truth" if scored else "nnU-Net"
        chosen.append((title, _draw_masks, ([*trained, truth], None)))
    return chosen


def _draw_size(shape: tuple[int, ...], axes: Axes) -> list[panels.LegendEntry]:
    height, width = shape[:2]
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
