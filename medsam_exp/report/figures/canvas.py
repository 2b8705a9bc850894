"""A figure that is made once, over which one picture after another is drawn: making axes takes longer than drawing."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


class Canvas:
    """Draws pictures that have all in common that a figure shows at first; for any thread.

    Args:
        figure: with its axes and what all pictures show; nobody else may draw into it.

    Attributes:
        axes: of the figure; between two pictures nothing but what they have in common is in them.
        blank: (height, width, 4) uint8, the figure as it was given.
    """

    def __init__(self, figure: Figure) -> None:
        self.axes: list[Axes] = list(figure.axes)
        canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
        canvas.draw()
        self._canvas = canvas
        self.blank: NDArray[np.uint8] = np.array(canvas.buffer_rgba())
        self.blank.setflags(write=False)
        self._lock = Lock()

    def pixels(self, draw: Callable[[], NDArray[np.uint8] | None]) -> NDArray[np.uint8]:
        """(height, width, 3) pixels of one picture.

        Args:
            draw: puts what is the picture's own into the axes, and returns what lies below it; None for `blank`.
        """
        with self._lock:
            common = {artist for axes in self.axes for artist in axes.get_children()}
            below = draw()
            own = [one for axes in self.axes for one in axes.get_children() if one not in common]
            shown = np.asarray(self._canvas.buffer_rgba())
            shown[...] = self.blank if below is None else below
            for artist in sorted(own, key=lambda one: one.get_zorder()):
                artist.draw(self._canvas.get_renderer())
            for artist in own:
                artist.remove()
            return shown[..., :3].copy()
