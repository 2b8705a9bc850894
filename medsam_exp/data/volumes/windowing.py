"""From a scan's numbers to the gray of a screen: DICOM's windows (PS3.3 C.11.2.1.2), named CT windows, percentiles.

DICOM's formulas stand here, as pydicom's `apply_windowing` takes windows from a data set only.
"""

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
    """A window: the range of values that is mapped to gray (DICOM PS3.3 C.11.2.1.2).

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
        narrow = "ask for a window narrower than 1, taken as LINEAR_EXACT"
        return Window(center, width, "LINEAR_EXACT"), narrow
    if pairs[0] != works[0]:
        unknown = "ask for a window that shows nothing, so their next one is used"
    return Window(center, width, known), unknown


CT_WINDOWS = {
    "lung": Window(-600, 1500),
    "soft_tissue": Window(50, 400),
    "brain": Window(40, 80),
    "bone": Window(400, 1800),
}
"""Usual windows for CT, in Hounsfield units."""


def percentile_window(values: NDArray[Any], low: float, high: float) -> Window:
    """The window from one percentile of a scan's finite values to another; for MR, whose units mean nothing.

    Args:
        values: of any shape.
        low: percentile that becomes black, in [0, 100].
        high: percentile that becomes white, above `low`.

    Raises:
        UserError: no value is finite.
    """
    finite = np.asarray(values)[np.isfinite(values)]
    if not finite.size:
        raise UserError("the scan holds no finite number: export it again")
    whole = (low, high) == (0, 100)  # without a sorted copy
    darkest, brightest = (finite.min(), finite.max()) if whole else np.percentile(finite, [low, high])
    if darkest == brightest:  # a scan that is nearly all background
        darkest, brightest = finite.min(), finite.max()
    return Window(
        float(darkest + brightest) / 2, max(float(brightest - darkest), np.finfo(float).tiny), "LINEAR_EXACT"
    )


def to_bytes(gray: NDArray[np.float64], *, inverted: bool) -> NDArray[np.uint8]:
    """Round gray to 8 bits.

    Args:
        gray: in [0, 1], of any shape.
        inverted: whether the lowest value means white (MONOCHROME1).

    Returns:
        uint8 of the same shape.
    """
    shown = np.rint(255 * np.nan_to_num(gray, nan=0.0))
    return np.asarray(255 - shown if inverted else shown, np.uint8)


_DEFAULT_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class WindowLevel:
    """How a user wants scans windowed; without a window and percentiles, each file's own window is used.

    Attributes:
        window: center and width in the scan's units.
        percentiles: of each scan's own values, for units that mean nothing.
        named: name of the window among `CT_WINDOWS`; None for others.
    """

    window: Window | None = None
    percentiles: tuple[float, float] | None = None
    named: str | None = None

    @property
    def follows_the_file(self) -> bool:
        """Whether each file's own window is used."""
        return self.window is None and self.percentiles is None

    def window_of(self, values: NDArray[Any], modality: str, where: str) -> Window:
        """The window for a whole scan.

        A file that does not say how it wants to be seen is shown as soft tissue where it is CT, else from the
        percentile 0.5 to 99.5.

        Args:
            values: all of its numbers.
            modality: as DICOM writes it ("CT"), or "" where it is unknown.
            where: names the scan in errors.

        Raises:
            UserError: a CT window is asked of another modality.
        """
        if self.named is not None and modality not in {"CT", ""}:
            raise UserError(
                f"{where} is {modality}, and the window {self.named} is one for CT (Hounsfield units): give "
                "--window CENTER WIDTH or --percentiles LOW HIGH"
            )
        if self.window is not None:
            return self.window
        if self.percentiles is None and modality == "CT":
            return CT_WINDOWS["soft_tissue"]
        return percentile_window(values, *(self.percentiles or _DEFAULT_PERCENTILES))

    def describe(self) -> str:
        """In words, for `geometry.json`."""
        if self.window is not None:
            said = f"center {self.window.center:g}, width {self.window.width:g}"
            return f"{self.named} ({said})" if self.named else said
        if self.percentiles is not None:
            return f"percentiles {self.percentiles[0]:g} to {self.percentiles[1]:g} of the volume"
        return "as the file asks; else soft_tissue for CT and percentiles 0.5 to 99.5 for others"


def parse_window_level(window: Sequence[str] | None, percentiles: Sequence[float] | None) -> WindowLevel:
    """The choice on a command line.

    Args:
        window: one name, or center and width.
        percentiles: low and high.

    Raises:
        UserError: both are given, or neither makes sense.
    """
    if window and percentiles:
        raise UserError("--window and --percentiles are both given: choose one of them")
    if percentiles:
        low, high = percentiles
        if not 0 <= low < high <= 100:
            raise UserError(
                f"--percentiles is {low:g} {high:g}: give two numbers in [0, 100], the lower first"
            )
        return WindowLevel(percentiles=(low, high))
    if not window:
        return WindowLevel()
    if len(window) == 1 and window[0] in CT_WINDOWS:
        return WindowLevel(CT_WINDOWS[window[0]], named=window[0])
    try:
        center, width = map(float, window)
    except ValueError as error:
        raise UserError(
            f"--window is {' '.join(window)}: give {', '.join(CT_WINDOWS)}, or CENTER WIDTH in the scan's units"
        ) from error
    return WindowLevel(Window(center, width, "LINEAR_EXACT" if 0 < width < 1 else "LINEAR"))
