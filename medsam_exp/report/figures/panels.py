"""Rows of panels, and what is drawn into them, all in one frame: image, map, outlines of masks, prompts, legends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from contourpy import contour_generator
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from medsam_exp.report.figures.style import FAINT, INK, cut_name, new_figure
from medsam_exp.stages.pipeline import stage_colour
from medsam_exp.types import Mask, Prompts, RGBImage, SaliencyMap

COLOUR_MAP = "viridis"
UNIT = ScalarMappable(Normalize(0, 1), COLOUR_MAP)
"""The scale of saliency maps."""
PLAIN: dict[str, Any] = {"va": "top", "parse_math": False, "color": INK}
"""Text as it is written, below its place."""
MARGIN, _PANEL, _GAP = 0.14, 2.9, 0.12  # inches
PITCH = _PANEL + _GAP
"""From one panel of a row to the next, in inches; at the figures' resolution a whole number of dots, as is a margin."""
_FLATTEST, _TALLEST = 0.6, 1.4  # a panel's height by its width; beyond, the image does not fill it
_BOX, _FOREGROUND, _BACKGROUND = "#F0E442", "#2BE3A6", "#FF6A5C"
_HALO = 1.2  # points of black added to a line's width, so that it is seen on bright tissue too

LegendEntry = tuple[str, tuple[Artist, ...]]
"""A label and what is drawn beside it, one over the other."""


@dataclass(frozen=True)
class Outline:
    """How the border of a mask is drawn.

    Attributes:
        label: in the legend.
        colour: of the line; its halo is black.
        width: in points.
        dashes: pattern of the line, "-" for a whole one; the halo is always whole.
        halo: points added to the width.
    """

    label: str
    colour: str
    width: float
    dashes: Any = "-"
    halo: float = _HALO


COARSE = Outline("coarse mask", stage_colour("coarse"), 2.0)
SAM = Outline("SAM mask", stage_colour("sam"), 2.4)
TEXT = Outline("text-prompted mask", stage_colour("text"), 2.0, (0, (5, 2)))
ENSEMBLE = Outline("ensemble", stage_colour("weak"), 2.4)
SINGLE = Outline("last checkpoint", stage_colour("weak_single"), 1.2, halo=0.4)
REFERENCE = Outline("reference", stage_colour("reference"), 1.2, halo=0.4)
"""Both so thin that the ensemble's is seen below where they agree."""
TRUTH = Outline("ground truth", "#FFFFFF", 1.2, (0, (3.2, 2.8)), halo=0.4)
"""Thinner than the masks, so that both are seen where they agree."""


def row_width(count: int, panel: float = _PANEL, gap: float = _GAP) -> float:
    """Width of a row of so many panels, in inches."""
    return 2 * MARGIN + count * (panel + gap) - gap


def row_size(
    shape: tuple[int, ...], count: int, top: float, bottom: float, panel: float = _PANEL, gap: float = _GAP
) -> tuple[float, float]:
    """Width and height of a row of so many panels in an image's frame, as `row` makes it, in inches."""
    return row_width(count, panel, gap), top + _panel_height(shape, panel) + bottom


def _panel_height(shape: tuple[int, ...], panel: float) -> float:
    return panel * float(np.clip(shape[0] / shape[1], _FLATTEST, _TALLEST))


def row(
    shape: tuple[int, ...],
    count: int,
    top: float,
    bottom: float,
    panel: float = _PANEL,
    gap: float = _GAP,
    least: int = 1,
) -> tuple[Figure, list[Axes]]:
    """A row of panels in an image's frame; all lengths in inches.

    Args:
        shape: (H, W, ...) of the image.
        count: how many.
        top: room above.
        bottom: room below.
        panel: width of one.
        gap: between two.
        least: panels that have room at least.
    """
    height, width = shape[:2]
    panel_height = _panel_height(shape, panel)
    size = row_size(shape, max(count, least), top, bottom, panel, gap)
    figure, axes = new_figure(*size), []
    for column in range(count):
        left = (MARGIN + column * (panel + gap)) / size[0]
        place = (left, bottom / size[1], panel / size[0], panel_height / size[1])
        axes.append(figure.add_axes(place))
        axes[-1].set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return figure, axes


def draw_name(
    figure: Figure, sample_id: str, letters_per_inch: int, below: str, gap: float, **style: Any
) -> None:
    """Write an image's id into the upper left corner, and a text `gap` inches below it."""
    width, height = figure.get_size_inches()
    left, top = MARGIN / width, 1 - 0.12 / height
    name = cut_name(sample_id, int(letters_per_inch * width))
    figure.text(left, top, name, weight="bold", fontsize=12, **PLAIN)
    figure.text(left, top - gap / height, below, **style, **PLAIN)


Resampled = dict[tuple[float, ...], tuple[Any, float, float]]
"""Pixels of one image by the size of a panel, and where in the panel they lie, in dots."""


class _PanelImage(AxesImage):
    """An image that several panels show, which is resampled once for all of the same size."""

    def __init__(self, axes: Axes, image: RGBImage, resampled: Resampled) -> None:
        super().__init__(axes, resample=True)
        self._resampled = resampled
        self.set_data(image)
        self.set_clip_path(axes.patch)
        self.set_extent(self.get_extent())

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        panel = self.axes.bbox
        size = (round(panel.width, 6), round(panel.height, 6), magnification)
        if size not in self._resampled:
            pixels, left, bottom, _ = super().make_image(renderer, magnification, unsampled)
            self._resampled[size] = pixels, left - panel.x0, bottom - panel.y0
        pixels, left, bottom = self._resampled[size]
        return pixels, panel.x0 + left, panel.y0 + bottom, None


def draw_image(axes: Axes, image: RGBImage, title: str = "", resampled: Resampled | None = None) -> None:
    """Show an (H, W, 3) image; pixel centres lie at whole numbers, x to the right, y down.

    Args:
        axes: of the panel.
        image: see above.
        title: above it.
        resampled: shared by the panels that show the same image.
    """
    axes.set_aspect("equal")
    axes.add_image(_PanelImage(axes, image, {} if resampled is None else resampled))
    axes.set_axis_off()
    draw_title(axes, title)


def draw_title(axes: Axes, title: str) -> None:
    """Write above a panel."""
    axes.set_title(title, fontsize=10, color=INK, pad=5, y=1)  # where it stands need not be searched for


def draw_saliency(axes: Axes, saliency_map: SaliencyMap) -> None:
    """Lay an (H, W) map in [0, 1] over the image; where it is weak, the image shows through."""
    opacity = 0.3 + 0.4 * np.clip(saliency_map, 0, 1)
    axes.imshow(saliency_map, cmap=COLOUR_MAP, vmin=0, vmax=1, alpha=opacity)


def draw_scale(axes: Axes, colours: ScalarMappable, ticks: Mapping[float, str], size: float = 8.5) -> None:
    """Fill axes with a colour scale, its ticks below it."""
    bar = axes.figure.colorbar(colours, cax=axes, orientation="horizontal", ticks=list(ticks))
    bar.ax.set_xticklabels(list(ticks.values()))
    bar.ax.tick_params(labelsize=size, length=2, pad=2, labelcolor=FAINT)


def draw_legend(axes: Axes, entries: Sequence[LegendEntry], size: float, **spacing: float) -> None:
    """Put a legend below a panel, three entries beside each other, others in two columns."""
    if entries:
        labels, handles = zip(*entries, strict=True)
        axes.legend(
            handles,
            labels,
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            ncols=3 if len(entries) == 3 else min(len(entries), 2),
            frameon=False,
            fontsize=size,
            labelcolor=INK,
            borderaxespad=0.4,
            **spacing,
        )


def say_below(axes: Axes, text: str) -> None:
    """Write a few words below a panel."""
    style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8.5, "color": FAINT}
    axes.annotate(text, (0.5, 0), (0, -8), xycoords="axes fraction", textcoords="offset points", **style)


def draw_outline(axes: Axes, mask: Mask, outline: Outline) -> LegendEntry:
    """Draw the border of an (H, W) mask, also along the image's edge; return its entry of the legend."""
    if not mask.any():
        return f"{outline.label} (empty)", (Line2D([], [], linestyle="none"),)
    border = _border(mask)
    strokes = (
        ("black", outline.width + outline.halo, "-"),
        (outline.colour, outline.width, outline.dashes),
    )
    for colour, width, dashes in strokes:
        style: dict[str, Any] = {"edgecolors": colour, "linewidths": width, "linestyles": [dashes]}
        axes.add_collection(
            PathCollection(
                [border], facecolors="none", transform=axes.transData, zorder=2, clip_on=False, **style
            ),
            autolim=False,
        )
    drawn = (Line2D([], [], color=colour, lw=width, ls=dashes) for colour, width, dashes in strokes)
    return outline.label, tuple(drawn)


def _border(mask: Mask) -> Path:
    """The border of an (H, W) mask that is not empty, through the middle between the pixels' centres."""
    ys, xs = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(ys[0]), int(xs[0])
    padded = np.pad(mask[top : ys[-1] + 1, left : xs[-1] + 1], 1).astype(np.float32)
    x, y = np.arange(left - 1, left - 1 + padded.shape[1]), np.arange(top - 1, top - 1 + padded.shape[0])
    found: Any = contour_generator(x, y, padded, name="mpl2014").create_contour(0.5)  # as matplotlib calls it
    vertices, codes = found
    return Path(np.concatenate(vertices), np.concatenate(codes))


def draw_outlines(axes: Axes, masks: Iterable[tuple[Mask | None, Outline]]) -> list[LegendEntry]:
    """Draw the borders of those masks that there are, one over the other; return their entries of the legend."""
    return [draw_outline(axes, mask, outline) for mask, outline in masks if mask is not None]


def draw_prompts(axes: Axes, prompts: Prompts) -> list[LegendEntry]:
    """Draw boxes, foreground points (+) and background points (x); return their entries of the legend."""
    entries: list[LegendEntry] = []
    if prompts.boxes_xyxy is not None and len(prompts.boxes_xyxy):
        entries.append(_draw_boxes(axes, prompts.boxes_xyxy))
    if prompts.point_coords is not None and prompts.point_labels is not None:
        points, labels = prompts.point_coords.reshape(-1, 2), prompts.point_labels.reshape(-1)
        kinds = ((1, "+", _FOREGROUND, "foreground point"), (0, "x", _BACKGROUND, "background point"))
        for kind, marker, colour, name in kinds:
            if (labels == kind).any():
                entries.append(_draw_points(axes, points[labels == kind], marker, colour, name))
    return entries


def _draw_boxes(axes: Axes, boxes_xyxy: NDArray[np.float32]) -> LegendEntry:
    halo = [withStroke(linewidth=1.4 + _HALO, foreground="black")]
    for x0, y0, x1, y1 in boxes_xyxy:
        corner = (x0 - 0.5, y0 - 0.5)  # a pixel's left edge lies half a pixel before its centre
        box = Rectangle(corner, x1 - x0, y1 - y0, fill=False, ec=_BOX, lw=1.4, path_effects=halo)
        box.set(zorder=3, clip_on=False)  # over the mask's outline, which it touches
        axes.add_patch(box)
    name = "box" if len(boxes_xyxy) == 1 else f"{len(boxes_xyxy)} boxes"
    return name, (Line2D([], [], color=_BOX, lw=1.4, path_effects=halo),)


def _draw_points(axes: Axes, points: NDArray[np.float32], marker: str, colour: str, name: str) -> LegendEntry:
    halo = [withStroke(linewidth=2.0 + _HALO, foreground="black")]
    style: dict[str, Any] = {"color": colour, "ms": 8, "mew": 2.0, "path_effects": halo}
    axes.plot(*points.T, marker, **style, clip_on=False)
    return name, (Line2D([], [], marker=marker, ls="none", **style),)
