"""The consensus of SAM's three proposals, as of three raters."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import SimpleITK
import torch
from torch import Tensor


@dataclass(frozen=True)
class StapleMask:
    """Foreground is where STAPLE (Warfield 2004) finds the true mask more likely than not.

    STAPLE estimates each rater's sensitivity and specificity together with the truth. Where the proposals
    agree everywhere there is nothing to estimate (and SimpleITK returns NaN for empty and full masks).
    """

    multimask: ClassVar[bool] = True

    def __call__(self, logits: Tensor, iou_predictions: Tensor) -> tuple[Tensor, float]:
        """Return the (H, W) bool mask of (M, H, W) logits, and the mean of the (M,) predicted IoUs."""
        masks = logits > 0
        mean_iou = float(iou_predictions.mean())
        if bool((masks == masks[0]).all()):
            return masks[0], mean_iou
        raters = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks.cpu().numpy()]
        probability = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(raters, 1.0))
        return torch.from_numpy(probability > 0.5).to(masks.device), mean_iou
