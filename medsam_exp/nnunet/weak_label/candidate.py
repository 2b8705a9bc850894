"""A mask that is a candidate for a pseudo-label, with what is known about it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask


@dataclass(frozen=True)
class Candidate:
    """One sample's mask; of zero-shot masks nothing here comes from ground truth.

    Attributes:
        sample_id: of the mask.
        image_id: of its image; samples of several classes share one.
        class_name: what the mask shows, where the dataset says it.
        mask: (H, W) bool, the final mask, original frame.
        coarse_mask: (H, W) bool, another mask of the same target: the one that the prompts were made from, or of a
            folder's masks the second opinion; original frame; None where there is none.
        iou_predictions: what SAM expects of the mask of each prompt, about [0, 1]; empty where SAM was not asked.
        presence: probability in [0, 1] that the image shows the target at all; None where no score was made.
        probability: (H, W) float32 in [0, 1], of the target at each pixel by the network that made the mask, original
            frame; None where none gave any.
    """

    sample_id: str
    image_id: str
    class_name: str | None
    mask: Mask
    coarse_mask: Mask | None = None
    iou_predictions: tuple[float, ...] = ()
    presence: float | None = None
    probability: NDArray[np.float32] | None = None
