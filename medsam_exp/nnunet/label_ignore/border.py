"""A band along the mask's border is unknown: a mask may be right about where, and wrong about how far."""

from dataclasses import dataclass
from math import hypot
from typing import ClassVar

import numpy as np
from scipy.ndimage import distance_transform_edt

from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import Mask, UserError


@dataclass(frozen=True)
class Border:
    """Marks the pixels whose middle is at most width * diagonal / 2 from the mask's border, on both sides of it.

    The image's own edge is no border, and an empty mask has none.

    Args:
        width: of the whole band, as a share of the image's diagonal, in (0, 1].

    Raises:
        UserError: the width is outside.
    """

    marks: ClassVar[bool] = True

    width: float

    def __post_init__(self) -> None:
        if not 0 < self.width <= 1:
            raise UserError(f"label_ignore.width={self.width}, but it is a share of the diagonal, in (0, 1]")

    def __call__(self, candidate: Candidate) -> Mask:
        """Return the band, (H, W) bool."""
        mask = candidate.mask
        if mask.all() or not mask.any():
            return np.zeros(mask.shape, bool)
        to_other_side = distance_transform_edt(mask) + distance_transform_edt(
            ~mask
        )  # of pixels' middles; one is 0
        band: Mask = to_other_side - 0.5 <= self.width * hypot(*mask.shape) / 2
        return band
