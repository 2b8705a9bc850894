"""The consensus of SAM's three proposals, as of three raters."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from medsam_exp.runtime.extras import Extra, require
from medsam_exp.types import UserError


@dataclass(frozen=True)
class StapleMask:
    """Foreground is where STAPLE (Warfield 2004) finds the true mask more likely than not.

    STAPLE estimates each rater's sensitivity and specificity together with the truth. Where the proposals
    agree everywhere there is nothing to estimate (and SimpleITK returns NaN for empty and full masks).

    Args:
        iterations: at most, at least 1. Proposals of one object converge in about ten; those that have nothing
            in common would go on for thousands.

    Raises:
        UserError: there is not even one iteration, or SimpleITK is not installed.
    """

    iterations: int
    multimask: ClassVar[bool] = True
    requires: ClassVar[str] = "SimpleITK"

    def __post_init__(self) -> None:
        require("SimpleITK", Extra("staple", "fusion=staple"))
        if self.iterations < 1:
            raise UserError(f"fusion.iterations is {self.iterations}, but it must be at least 1.")

    def __call__(self, logits: Tensor, iou_predictions: Tensor) -> tuple[Tensor, float]:
        """Return the (H, W) bool mask of (M, H, W) logits, and the mean of the (M,) predicted IoUs."""
        import SimpleITK

        masks = logits > 0
        mean_iou = float(iou_predictions.mean())
        if bool((masks == masks[0]).all()):
            return masks[0], mean_iou
        raters = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks.cpu().numpy()]
        staple = SimpleITK.STAPLEImageFilter()
        staple.SetForegroundValue(1.0)
        staple.SetMaximumIterations(self.iterations)
        probability = SimpleITK.GetArrayFromImage(staple.Execute(raters))
        return torch.from_numpy(probability > 0.5).to(masks.device), mean_iou
