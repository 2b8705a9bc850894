"""A picture of one image with all that a run found in it."""

import hashlib
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

from medsam_exp.metrics.measures import number
from medsam_exp.report.figures import panels
from medsam_exp.report.figures.canvas import Canvas
from medsam_exp.report.figures.style import SHOWN_SCORES, new_figure, pixels_of
from medsam_exp.report.png_file import DOTS_PER_INCH
from medsam_exp.runtime.recent import Recent
from medsam_exp.stages.pipeline import stage_title
from medsam_exp.types import Mask, Prompts, RGBImage, SaliencyMap

_HEADER, _TEXT_LINE, _PANEL_TITLE, _FOOTER = 0.42, 0.18, 0.26, 0.5  # inches
_LONG_LEGEND = 28  # letters; more do not fit below a panel at the usual size
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
_canvases: Recent[Canvas] = Recent(most=20)
"""By the shape of images, 2.4 MB each at most."""
_around: Recent[NDArray[np.uint8]] = Recent(most=40)
"""Titles and legends by their words, 0.7 MB each."""
_headers: Recent[NDArray[np.uint8]] = Recent(most=60)
"""Names and texts of images, 0.9 MB each at most."""


def overlay_picture(result: ImageResult) -> Image.Image:
    """The same picture as `overlay_figure`, of parts that are drawn only where they are not remembered."""
    chosen = _panels(result)
    pixels = _with_header(result, len(chosen))
    image = _digest(result.image)
    for column, panel in enumerate(chosen):
        found = _drawn.of(_digest(image, panel), partial(_panel_pixels, result.image, image, panel))
        left = round(column * panels.PITCH * DOTS_PER_INCH)
        _darken(pixels[-len(found) :, left : left + found.shape[1]], found)
    return Image.fromarray(pixels)


def _darken(under: NDArray[np.uint8], found: NDArray[np.uint8]) -> None:
    """Lay pixels over others, of which they show the upper left part; where either has nothing it is white."""
    height, width = (min(both) for both in zip(under.shape[:2], found.shape[:2], strict=True))
    np.minimum(under[:height, :width], found[:height, :width], out=under[:height, :width])


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


def _with_header(result: ImageResult, count: int) -> NDArray[np.uint8]:
    """(height, width, 3) pixels of a picture that has no panels yet."""
    width, height = panels.row_size(result.image.shape, max(count, 2), _top(result), _FOOTER)
    # 665.9999999 are 666, as for matplotlib.
    rows, columns = (int(round(inches * DOTS_PER_INCH, 6)) for inches in (height, width))
    pixels = np.full((rows, columns, 3), 255, np.uint8)

    def drawn(draw: Callable[[Figure, ImageResult], None]) -> NDArray[np.uint8]:
        figure = new_figure(width, _top(result))
        draw(figure, result)
        return np.asarray(pixels_of(figure))

    _darken(pixels, _headers.of((result.sample_id, result.text, count), partial(drawn, _draw_name)))
    _darken(pixels, drawn(_draw_scores))
    return pixels


def _panel_pixels(image: RGBImage, digest: bytes, panel: _Panel) -> NDArray[np.uint8]:
    """(height, width, 3) pixels of one panel with its margins, title and legend, white around it."""
    title, draw, shown = panel
    canvas = _canvases.of(image.shape[:2], lambda: Canvas(_empty_panel(image.shape)))
    (axes,) = canvas.axes

    def own() -> NDArray[np.uint8]:
        panels.draw_image(axes, image, resampled=_resampled.of(digest, dict))
        return _surrounded(canvas, title, draw(*shown, axes))

    pixels = canvas.pixels(own)
    pixels.setflags(write=False)
    return pixels


def _empty_panel(shape: tuple[int, ...]) -> Figure:
    figure, (axes,) = panels.row(shape, 1, _PANEL_TITLE, _FOOTER)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure


def _surrounded(canvas: Canvas, title: str, entries: list[panels.LegendEntry]) -> NDArray[np.uint8]:
    """A canvas with a title above its panel and a legend below it, which look alike at panels of any height."""
    labels = tuple(label for label, _ in entries)  # each is always drawn in its own style
    words = _around.of((title, labels), partial(_words_around, title, entries))
    above, below = (round(inches * DOTS_PER_INCH) for inches in (_PANEL_TITLE, _FOOTER))
    pixels = canvas.blank.copy()
    box = canvas.axes[0].bbox
    top, bottom = (len(pixels) - round(y) for y in (box.y1, box.y0))
    pixels[max(top - above, 0) : top] = words[max(above - top, 0) : above]
    pixels[bottom : bottom + below] = words[-below:][: len(pixels) - bottom]
    return pixels


def _words_around(title: str, entries: list[panels.LegendEntry]) -> NDArray[np.uint8]:
    """(height, width, 4) pixels of a panel that has nothing but a title and a legend."""
    figure = _empty_panel((3, 5))  # the flattest
    panels.draw_title(figure.axes[0], title)
    _draw_legend(figure.axes[0], entries)
    return Canvas(figure).blank


def _draw_panel(axes: Axes, image: RGBImage, panel: _Panel, resampled: panels.Resampled) -> None:
    title, draw, shown = panel
    panels.draw_image(axes, image, title, resampled)
    _draw_legend(axes, draw(*shown, axes))


def _draw_legend(axes: Axes, entries: list[panels.LegendEntry]) -> None:
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
    _draw_name(figure, result)
    _draw_scores(figure, result)


def _draw_name(figure: Figure, result: ImageResult) -> None:
    said = "\n".join(_quoted(result))
    panels.draw_name(figure, result.sample_id, 5, said, gap=0.23, fontsize=9.5, linespacing=1.2)


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
    shown = [m for m in SHOWN_SCORES if m.name in result.scores]
    scores = "    ".join(f"{m.label} {number(result.scores[m.name], m.decimals)}" for m in shown)
    if result.nnunet_masks and scores:  # several masks are drawn, so it must be said whose scores these are
        scores = f"{stage_title(result.scored)}:  {scores}"
    figure.text(1 - panels.MARGIN / width, 1 - 0.12 / height, scores, ha="right", fontsize=11, **panels.PLAIN)
