"""All objects that a SAM proposes in an image: its answers to a grid of points, without doubtful and double ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.utils.amg import (
    batched_mask_to_box,
    build_point_grid,
    calculate_stability_score,
)
from torch import Tensor
from torchvision.ops import nms

from medsam_exp.runtime.finite import all_finite, not_finite
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.types import Mask, Prompts, UserError

_STABILITY_OFFSET = 1.0
"""How far the threshold of the logits is moved either way for the stability score (segment-anything)."""


@dataclass(frozen=True)
class Region:
    """One object: its mask where its box is, a bit a pixel, as hundreds are held at a time.

    Attributes:
        box_xyxy: in pixels, x1 and y1 one past the last pixel; one pixel around an empty mask.
        area: pixels of the mask.
        bits: of the mask within the box, row by row.
    """

    box_xyxy: tuple[int, int, int, int]
    area: int
    bits: NDArray[np.uint8]

    @property
    def mask(self) -> Mask:
        """(y1 - y0, x1 - x0) bool, within the box."""
        x0, y0, x1, y1 = self.box_xyxy
        shape = y1 - y0, x1 - x0
        return np.unpackbits(self.bits, count=shape[0] * shape[1]).astype(bool).reshape(shape)


@dataclass(frozen=True)
class Proposals:
    """Objects, those that SAM trusts most first.

    Attributes:
        regions: N.
        iou_predictions: (N,) float32.
    """

    regions: list[Region]
    iou_predictions: Tensor


@dataclass(frozen=True)
class Everything:
    """Segment Anything's automatic masks of the whole image, as `SamAutomaticMaskGenerator` makes them (Kirillov 2023).

    Each point of a grid is asked for three proposals. One stays where SAM expects an IoU above a threshold and where
    its mask is stable: logits above 1 and above -1 overlap by a share. Of proposals with almost one box, the one that
    SAM trusts most stays. Crops of the image are not looked at by themselves, and no holes are filled.

    Args:
        points_per_side: of the grid, at least 1.
        min_iou: expected IoU that a proposal must exceed.
        min_stability: share that a proposal must reach.
        max_overlap: IoU of two boxes above which one goes.

    Raises:
        UserError: a number makes no sense.
    """

    points_per_side: int
    min_iou: float
    min_stability: float
    max_overlap: float

    def __post_init__(self) -> None:
        if self.points_per_side < 1:
            raise UserError(
                f"`points_per_side` of SAM's grid is {self.points_per_side}, but it must be at least 1."
            )
        for name in ("min_iou", "min_stability", "max_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"`{name}` is {getattr(self, name)}, but it must be between 0 and 1.")

    def __call__(self, sam: PromptableModel, embedding: Tensor, size: tuple[int, int]) -> Proposals:
        """Return what is found in the image of (H, W) pixels that an embedding (C, g, g) is of.

        Raises:
            UserError: a mask's logit or an expected IoU is not finite; or the network takes no points.
        """
        grid = build_point_grid(self.points_per_side) * size[::-1]
        prompts = Prompts(
            point_coords=grid[:, None].astype(np.float32), point_labels=np.ones((len(grid), 1), np.int64)
        )
        regions: list[Region] = []
        kept = []
        for logits, iou in sam.decode(embedding, prompts, size, multimask=True):
            masks, expected = self._trusted(logits, iou)
            boxes = batched_mask_to_box(
                masks
            )  # x1 and y1 are the last pixels, as segment-anything compares them
            regions += _packed(masks, boxes)
            kept.append((boxes.float(), expected))
        boxes, expected = (torch.cat(parts) for parts in zip(*kept, strict=True))
        best = nms(boxes, expected, self.max_overlap)
        return Proposals([regions[place] for place in best.tolist()], expected[best])

    def _trusted(self, logits: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (M, H, W) and expected IoU (M,) of the proposals that are expected to be good, and stable."""
        if not (all_finite(logits) and all_finite(iou)):
            raise not_finite("a mask, or its expected IoU,", "SAM")
        good = iou > self.min_iou
        logits, iou = logits[good], iou[good]
        stable = calculate_stability_score(logits, 0.0, _STABILITY_OFFSET) >= self.min_stability
        return logits[stable] > 0, iou[stable]


def _packed(masks: Tensor, boxes: Tensor) -> Iterator[Region]:
    """Regions of masks (M, H, W) bool and the boxes (M, 4) around them, x1 and y1 the last pixels."""
    for mask, (x0, y0, x1, y1) in zip(masks.cpu().numpy(), boxes.int().tolist(), strict=True):
        within = mask[y0 : y1 + 1, x0 : x1 + 1]
        yield Region((x0, y0, x1 + 1, y1 + 1), int(within.sum()), np.packbits(within))
