"""An image with the outlines of what was found in it."""

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from medsam_exp.report.figures import panels
from medsam_exp.types import Mask, Prompts, RGBImage

_SIDE = 1024  # pixels of an overlay's longer side at least, so that lines are thin beside the image
_DOTS_PER_INCH = 100
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#F0E442", "#0072B2")
"""Of several classes: Okabe and Ito's palette."""


def overlay(
    image: RGBImage,
    masks: Mapping[str, Mask],
    coarse_mask: Mask | None = None,
    prompts: Prompts | None = None,
) -> Figure:
    """Draw an image at its own size or larger.

    Args:
        image: (H, W, 3) uint8.
        masks: (H, W) bool by class; the class is "" where there is only one.
        coarse_mask: (H, W) bool, or None.
        prompts: what SAM was asked, or None.
    """
    height, width = image.shape[:2]
    scale = max(1.0, _SIDE / max(height, width))
    size = (width * scale / _DOTS_PER_INCH, height * scale / _DOTS_PER_INCH)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    panels.draw_image(axes, image)
    entries = [] if coarse_mask is None else [panels.draw_outline(axes, coarse_mask, panels.COARSE)]
    for place, (name, mask) in enumerate(masks.items()):
        line = panels.Outline(name, _COLOURS[place % len(_COLOURS)], panels.SAM.width) if name else panels.SAM
        entries.append(panels.draw_outline(axes, mask, line))
    entries += panels.draw_prompts(axes, prompts) if prompts is not None else []
    labels, artists = zip(*entries, strict=True)
    legend: Any = axes.legend(artists, labels, loc="lower left", fontsize=9, framealpha=0.75)
    legend.set_zorder(10)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return figure


def overlay_png(
    image: RGBImage,
    masks: Mapping[str, Mask],
    coarse_mask: Mask | None = None,
    prompts: Prompts | None = None,
) -> bytes:
    """The same as a PNG."""
    buffer = io.BytesIO()
    overlay(image, masks, coarse_mask, prompts).savefig(buffer, format="png")
    return buffer.getvalue()
