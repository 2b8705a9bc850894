"""From a scan's own numbers to the gray of a screen: DICOM's windows (PS3.3 C.11.2.1.2) and percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import UserError


def _linear(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    if width == 1:  # a step: at or below the center black, above it white
        return np.asarray(values > center - 0.5, np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _linear_exact(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    return np.clip((values - center) / width + 0.5, 0, 1)


def _sigmoid(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-4 * np.clip((values - center) / width, -100, 100))))


_FORMULAS = {"LINEAR": _linear, "LINEAR_EXACT": _linear_exact, "SIGMOID": _sigmoid}


@dataclass(frozen=True)
class Window:
    """Which values are told apart on the screen.

    Attributes:
        center: in the scan's units (HU for CT).
        width: likewise.
        function: LINEAR, LINEAR_EXACT or SIGMOID, as in DICOM.
    """

    center: float
    width: float
    function: str = "LINEAR"

    def __post_init__(self) -> None:
        smallest = 1 if self.function == "LINEAR" else 0
        if self.function not in _FORMULAS:
            raise UserError(
                f"the window's function is {self.function}: DICOM knows {', '.join(sorted(_FORMULAS))}"
            )
        if not (self.width > 0 and self.width >= smallest and np.isfinite(self.center + self.width)):
            raise UserError(
                f"the window has the center {self.center:g} and the width {self.width:g}: give a width of at "
                f"least {'1' if smallest else 'a little above 0'}"
            )

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Gray in [0, 1] of values of any shape."""
        return _FORMULAS[self.function](np.asarray(values, np.float64), self.center, self.width)


def usable_window(
    centers: Sequence[float], widths: Sequence[float], function: str
) -> tuple[Window | None, str | None]:
    """The first window of a file that can be followed, read as viewers read it.

    Widths below 1, which DICOM forbids for LINEAR, occur where values are small; they mean LINEAR_EXACT.

    Args:
        centers: of the windows that the file asks for, in the scan's units.
        widths: likewise.
        function: the file's word for how they are meant.

    Returns:
        The window (None where none can be followed), and what is odd, to follow "the images ..." in a note.
    """
    if not (centers and widths):
        return None, None
    known = function if function in _FORMULAS else "LINEAR"
    unknown = None if known == function else "name an unknown VOI LUT function, taken as LINEAR"
    pairs = list(zip(centers, widths, strict=False))
    works = [(c, w) for c, w in pairs if w > 0 and np.isfinite(c + w)]
    if not works:
        return None, f"ask for a window that shows nothing (width {widths[0]:g}), which is not followed"
    center, width = works[0]
    if known == "LINEAR" and width < 1:
        return Window(
            center, width, "LINEAR_EXACT"
        ), "ask for a window narrower than 1, taken as LINEAR_EXACT"
    passed = (
        "ask for a window that shows nothing, so their next one is used" if pairs[0] != works[0] else None
    )
    return Window(center, width, known), passed or unknown


CT_WINDOWS = {
    "lung": Window(-600, 1500),
    "soft_tissue": Window(50, 400),
    "brain": Window(40, 80),
    "bone": Window(400, 1800),
}
"""Usual windows for CT, in Hounsfield units."""


def percentile_window(values: NDArray[Any], low: float, high: float) -> Window:
    """The window from one percentile of a scan's finite values to another; for MR, whose units mean nothing.

    Raises:
        UserError: the percentiles are not in order within [0, 100], or no value is finite.
    """
    if not 0 <= low < high <= 100:
        raise UserError(
            f"percentiles are {low:g} and {high:g}: give two numbers in [0, 100], the lower first"
        )
    finite = np.asarray(values)[np.isfinite(values)]
    if not finite.size:
        raise UserError("the scan holds no finite number: export it again")
    darkest, brightest = np.percentile(finite, [low, high])
    if darkest == brightest:  # a scan that is nearly all background
        darkest, brightest = finite.min(), finite.max()
    return Window(
        float(darkest + brightest) / 2, max(float(brightest - darkest), np.finfo(float).tiny), "LINEAR_EXACT"
    )


def to_bytes(gray: NDArray[np.float64], *, inverted: bool) -> NDArray[np.uint8]:
    """Gray in [0, 1] to uint8, rounded; inverted where the lowest value means white (MONOCHROME1)."""
    shown = np.rint(255 * np.nan_to_num(gray, nan=0.0))
    return np.asarray(255 - shown if inverted else shown, np.uint8)
