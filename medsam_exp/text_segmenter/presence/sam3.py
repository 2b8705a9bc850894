"""SAM 3's own presence score: its presence token says whether the named concept is in the image (arXiv 2511.16719)."""

from pathlib import Path
from typing import TYPE_CHECKING

from medsam_exp.text_segmenter import weight_files as segmenter_files

if TYPE_CHECKING:
    from medsam_exp.text_segmenter.sam3 import Sam3

_UNUSED = 0.5
"""Thresholds of masks, which decide no presence."""


class Sam3Presence:
    """The sigmoid of SAM 3's presence logit, in [0, 1]; a network's own confidence, calibrated on nothing.

    Args:
        model: a folder or a file, as for `medsam_exp.text_segmenter.sam3.load_sam3`.
    """

    calibrated_on: str | None = None

    def __init__(self, model: str) -> None:
        self._model = model
        self._loaded: Sam3 | None = None

    def network(self) -> "Sam3":
        """SAM 3, loaded when it is first asked for.

        Raises:
            UserError: something is missing or does not fit.
        """
        if self._loaded is None:
            from medsam_exp.text_segmenter.sam3 import load_sam3  # transformers is slow to import

            self._loaded = load_sam3(self._model, _UNUSED, _UNUSED, key="presence")
        return self._loaded


def weight_files(model: str) -> list[Path]:
    """Local files that decide the score.

    Raises:
        UserError: something is missing; says what.
    """
    return segmenter_files.weight_files(model, key="presence")
