"""An answer as pictures: its mask, its map, and all of it over the image."""

import io
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from medsam_exp.cli.interactive.result import Answer
from medsam_exp.report.figures import panels
from medsam_exp.types import Mask, SaliencyMap

_SIDE = 1024  # pixels of an overlay's longer side at least, so that lines are thin beside the image
_DOTS_PER_INCH = 100


def mask_png(mask: Mask) -> bytes:
    """A mask as a lossless PNG {0, 255}, original frame."""
    return _png(Image.fromarray(mask.astype(np.uint8) * 255))


def saliency_png(saliency_map: SaliencyMap) -> bytes:
    """A map in colours, dark for 0 and bright for 1, original frame."""
    coloured = colormaps[panels.COLOUR_MAP](np.clip(saliency_map, 0, 1))[..., :3] * 255
    return _png(Image.fromarray(coloured.round().astype(np.uint8)))


def overlay_png(answer: Answer) -> bytes:
    """The image with coarse mask, visual prompts and mask as outlines."""
    height, width = answer.mask.shape
    scale = max(1.0, _SIDE / max(height, width))
    size = (width * scale / _DOTS_PER_INCH, height * scale / _DOTS_PER_INCH)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    panels.draw_image(axes, answer.image)
    entries = [
        panels.draw_outline(axes, answer.coarse_mask, panels.COARSE),
        panels.draw_outline(axes, answer.mask, panels.SAM),
        *panels.draw_prompts(axes, answer.prompts),
    ]
    labels, artists = zip(*entries, strict=True)
    legend: Any = axes.legend(artists, labels, loc="lower left", fontsize=9, framealpha=0.75)
    legend.set_zorder(10)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
