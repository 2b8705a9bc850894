"""What all pictures share: colours, resolution, axes, and how they are written."""

from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.metrics.measures import MEASURES
from medsam_exp.report.png_file import DOTS_PER_INCH, save_pixels

INK, FAINT, GRID = "#1a1a1a", "#5c5c5c", "#e4e4e4"
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"
"""From the palette of Okabe and Ito, which colour-blind readers tell apart."""
MOST_POINTS = 2000
"""Of more images a figure draws so many points at most, and says so."""
SHOWN_SCORES = tuple(measure for measure in MEASURES if measure.name in ("dsc", "iou", "nsd"))
"""Of masks, in pictures."""
DIAGONAL: dict[str, Any] = {"color": "#9a9a9a", "lw": 1.2, "ls": (0, (4, 3))}
"""Of a line of equality or of chance."""


def new_figure(width: float, height: float, layout: Any = None) -> Figure:
    """An empty white figure, in inches."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white", layout=layout)


def swarm(count: int, width: float) -> NDArray[np.floating[Any]]:
    """(n,) offsets that spread points over a width: by the golden ratio, not by chance."""
    return width * (np.arange(1, count + 1) * 0.6180339887 % 1 - 0.5)


def style_axes(axes: Axes, label_size: float = 9, x: str = "", y: str = "", title: str = "") -> None:
    """Give axes a light grid below the data, no ticks, and no frame but the lower edge.

    Args:
        axes: to style.
        label_size: of the numbers beside them, in points.
        x: below them.
        y: beside them.
        title: above them.
    """
    for write, text in ((axes.set_xlabel, x), (axes.set_ylabel, y)):
        if text:
            write(text, fontsize=9.5, color=INK)
    if title:
        axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.tick_params(length=0, labelcolor=INK, labelsize=label_size)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def pixels_of(figure: Figure) -> Image.Image:
    """A figure's pixels, RGB."""
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def save_png(picture: Figure | Image.Image, file: Path | IO[bytes]) -> None:
    """Write a picture whose bytes depend on its pixels alone, not on the date or a program's version."""
    save_pixels(pixels_of(picture) if isinstance(picture, Figure) else picture, file)


def cut_name(name: str, length: int) -> str:
    """A name of at most `length` characters; its end, where file names differ, is kept."""
    return name if len(name) <= length else f"{name[: length // 2]}…{name[1 - length // 2 :]}"
