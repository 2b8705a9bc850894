"""What every promptable network does alike: process and encode an image once, decode prompts as often as wanted."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from medsam_exp.sam.framing import Framing
from medsam_exp.types import Prompts, RGBImage, UserError

PROMPTS_AT_ONCE = 16
"""The decoder works on a copy of the image embedding for each prompt: hundreds would fill the memory."""


class PromptableModel(nn.Module, ABC):
    """A network that answers visual prompts on an image with masks.

    The *input frame* is the network's square of S x S pixels; how an image gets there and a mask back is its
    family's own `framing`. g is the side of the encoder's grid, C the channels of an image's embedding, which holds
    all that decoding needs of the image, M the masks of one prompt: one answer, or three proposals.

    Args:
        framing: of its family.
        image_size: S, in pixels.

    Attributes:
        takes_masks: whether `decode_low_res` reads masks as prompts.

    Example:
        >>> from medsam_exp import PromptableModel, load_sam
        >>> sam = load_sam("tiny")
        >>> isinstance(sam, PromptableModel), sam.embedding_shape
        (True, (128, 16, 16))
    """

    takes_masks: ClassVar[bool] = False

    def __init__(self, framing: Framing, image_size: int) -> None:
        super().__init__()
        self.framing = framing
        self.image_size = image_size

    @staticmethod
    @abstractmethod
    def side_of(network: Any) -> int:
        """S of a network that this class wraps."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The module whose state dict has the names of its files of weights."""

    @property
    @abstractmethod
    def encoder(self) -> nn.Module:
        """What `encode` spends its time in; the rest computes in float32 whatever the Trainer's precision."""

    @property
    @abstractmethod
    def untrained(self) -> tuple[nn.Module, ...]:
        """Parts that no mask in training depends on: what reads a mask as a prompt, for one."""

    @property
    @abstractmethod
    def embedding_shape(self) -> tuple[int, int, int]:
        """(C, g, g)."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S), input frame; returns (B, C, g, g)."""

    @abstractmethod
    def decode_low_res(
        self,
        image_embeddings: Tensor,
        boxes: Tensor | None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        multimask: bool = False,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Turn N prompts, of one image or one of each image, into M masks each, differentiably.

        Args:
            image_embeddings: (1, C, g, g) of the image of all, or (N, C, g, g).
            boxes: (N, 4) float x0, y0, x1, y1 in pixels of the input frame. Or None.
            points: (N, P, 2) float x, y in pixels of the input frame. Or None.
            labels: (N, P) 1 foreground, 0 background, -1 no point. Or None.
            multimask: M is 3 instead of 1.
            masks: (N, 1, 4g, 4g) logits over the input frame, where the network takes masks. Or None.

        Returns:
            Mask logits (N, M, h, w) float32 over the input frame, four per cell of the coarsest grid in each
            direction; and predicted IoU (N, M) float32.
        """

    def preprocess(self, image: RGBImage) -> Tensor:
        """Bring an (H, W, 3) uint8 RGB image into the input frame: (3, S, S) float32 on the CPU.

        Raises:
            UserError: the image cannot be brought there.
        """
        return self.framing.preprocess(image)

    @torch.no_grad()
    def decode(
        self,
        image_embedding: Tensor,
        prompts: Prompts,
        original_size: tuple[int, int],
        multimask: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Turn the visual prompts of one image into masks, one prompt after the other; ask again where they say so.

        Only one prompt's masks exist in the original frame at a time: hundreds of prompts on a large image
        would fill the memory. Always in float32, whatever the Trainer's precision: decoding is cheap, and it
        draws the border.

        Args:
            image_embedding: (C, g, g) of the image.
            prompts: N prompts, original frame.
            original_size: (H, W) of the image.
            multimask: ask for three proposals instead of one answer.

        Yields:
            N times: mask logits (M, H, W) float32, original frame, foreground above 0; and the IoU (M,) float32
            that the network itself expects of each mask.

        Raises:
            UserError: there are points, or masks, which the network does not understand.
        """
        device, count = image_embedding.device, len(prompts)
        parts = self._in_input_frame(prompts, original_size, device)
        for start in range(0, count, PROMPTS_AT_ONCE):
            some = slice(start, min(start + PROMPTS_AT_ONCE, count))
            boxes, points, labels = (None if part is None else part[some] for part in parts)
            masks = self._masks(prompts, some, original_size, device)
            with torch.autocast(device.type, enabled=False):
                image = image_embedding.float()[None]
                low_res, iou_predictions = self.decode_low_res(image, boxes, points, labels, multimask, masks)
                if prompts.further_points is not None or prompts.feeds_back:
                    best = low_res[torch.arange(len(low_res)), iou_predictions.argmax(1)][:, None]
                    further = self._further_points(prompts, start, best, original_size)
                    points, labels = (
                        _joined(*parts) for parts in zip((points, labels), further, strict=True)
                    )
                    masks = self._given_back(best) if prompts.feeds_back else masks
                    low_res, iou_predictions = self.decode_low_res(
                        image, boxes, points, labels, multimask, masks
                    )
            for one, iou in zip(low_res, iou_predictions, strict=True):
                yield self.framing.to_original(one[None], original_size)[0], iou

    def _masks(
        self, prompts: Prompts, some: slice, original_size: tuple[int, int], device: torch.device
    ) -> Tensor | None:
        """Masks (n, 1, 4g, 4g) of some prompts as the prompt encoder takes them."""
        if prompts.mask_logits is None:
            return None
        self._must_take_masks()
        logits = torch.as_tensor(prompts.mask_logits[some], dtype=torch.float32, device=device)
        return self.framing.mask_prompts(logits, original_size, 4 * self.embedding_shape[1])

    def _given_back(self, low_res: Tensor) -> Tensor:
        """Masks (n, 1, 4g, 4g) of logits (n, 1, h, w) that the network itself gave."""
        self._must_take_masks()
        side = 4 * self.embedding_shape[1]
        if low_res.shape[-2:] == (side, side):
            return low_res
        return interpolate(low_res, (side, side), mode="bilinear", align_corners=False, antialias=True)

    def _must_take_masks(self) -> None:
        if not self.takes_masks:
            raise UserError(
                "This SAM is not asked with masks: choose a prompt without one, such as prompt=box, or one of Meta's "
                "first SAMs, such as sam=vit_h."
            )

    def _further_points(
        self, prompts: Prompts, start: int, low_res: Tensor, original_size: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Coordinates (n, P, 2) and labels (n, P) that join n prompts, by the logits (n, 1, h, w) of their masks."""
        if prompts.further_points is None:
            return None, None
        masks = (self.framing.to_original(one[None], original_size)[0, 0] > 0 for one in low_res)
        coords = np.stack(
            [prompts.further_points(start + place, mask.cpu().numpy()) for place, mask in enumerate(masks)]
        )
        found = Prompts(point_coords=coords, point_labels=np.ones(coords.shape[:2], np.int64))
        _, points, labels = self._in_input_frame(found, original_size, low_res.device)
        return points, labels

    def _in_input_frame(
        self, prompts: Prompts, original_size: tuple[int, int], device: torch.device
    ) -> list[Tensor | None]:
        """Boxes (N, 4), point coordinates (N, P, 2) and labels (N, P) as the prompt encoder takes them."""
        boxes, coords, labels = prompts.boxes_xyxy, prompts.point_coords, prompts.point_labels
        if coords is not None and not self.framing.takes_points:
            raise UserError("This SAM understands boxes only, not points: choose prompt=box, or another sam.")
        if boxes is not None:
            boxes = self.framing.to_input(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)
        if coords is not None:
            coords = self.framing.to_input(coords, original_size)
        typed = ((boxes, torch.float32), (coords, torch.float32), (labels, torch.int64))
        return [
            None if part is None else torch.as_tensor(part, dtype=kind, device=device) for part, kind in typed
        ]


def _joined(some: Tensor | None, more: Tensor | None) -> Tensor | None:
    """Points or labels of prompts, followed by others."""
    given = [part for part in (some, more) if part is not None]
    return torch.cat(given, dim=1) if given else None
