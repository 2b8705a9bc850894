"""How a scan's numbers are to become gray: as its file asks, by a named window, by numbers, or by percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from medsam_exp.data.volumes.windowing import CT_WINDOWS, Window, percentile_window
from medsam_exp.types import UserError

DEFAULT_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Look:
    """One choice for all scans; at most one of the three is given.

    Attributes:
        named: a window of `CT_WINDOWS`.
        window: center and width in the scan's units.
        percentiles: of each scan's own values, for units that mean nothing.
    """

    named: str | None = None
    window: Window | None = None
    percentiles: tuple[float, float] | None = None

    @property
    def is_files_own(self) -> bool:
        """Whether each file's own wish is followed."""
        return self.named is None and self.window is None and self.percentiles is None

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
        if self.named is not None:
            if modality not in {"CT", ""}:
                raise UserError(
                    f"{where} is {modality}, and the window {self.named} is one for CT (Hounsfield units): give "
                    "--window CENTER WIDTH or --percentiles LOW HIGH"
                )
            return CT_WINDOWS[self.named]
        if self.window is not None:
            return self.window
        if self.percentiles is None and modality == "CT":
            return CT_WINDOWS["soft_tissue"]
        return percentile_window(values, *(self.percentiles or DEFAULT_PERCENTILES))

    def describe(self) -> str:
        """In words, for `geometry.json`."""
        if self.named is not None:
            chosen = CT_WINDOWS[self.named]
            return f"{self.named} (center {chosen.center:g}, width {chosen.width:g})"
        if self.window is not None:
            return f"center {self.window.center:g}, width {self.window.width:g}"
        if self.percentiles is not None:
            return f"percentiles {self.percentiles[0]:g} to {self.percentiles[1]:g} of the volume"
        return "as the file asks; else soft_tissue for CT and percentiles 0.5 to 99.5 for others"


def parse_look(window: Sequence[str] | None, percentiles: Sequence[float] | None) -> Look:
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
        return Look(percentiles=(low, high))
    if not window:
        return Look()
    if len(window) == 1 and window[0] in CT_WINDOWS:
        return Look(named=window[0])
    try:
        center, width = map(float, window)
    except ValueError as error:
        raise UserError(
            f"--window is {' '.join(window)}: give {', '.join(CT_WINDOWS)}, or CENTER WIDTH in the scan's units"
        ) from error
    return Look(window=Window(center, width, "LINEAR_EXACT" if 0 < width < 1 else "LINEAR"))
