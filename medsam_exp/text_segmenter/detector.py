"""Boxes from a text, masks from a SAM: what detectors share (joined as in Grounded SAM, Ren 2024, arXiv 2401.14159)."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medsam_exp.clip.model import Tokenizer
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.text_segmenter.segmenter import TextMask, TextSegmenter, pixel_values, refuse_broken
from medsam_exp.types import MapFusion, MaskFusion, Prompts, RGBImage, UserError


class BoxDetector(TextSegmenter):
    """Mask: what a SAM draws in the boxes of highest score, united; empty where no score exceeds the threshold.

    Args:
        network: the detector.
        tokenizer: texts to token ids, cut to its context.
        image_processor: prepares an image for it.
        sam: draws the masks.
        fusion: of SAM's proposals for a box.
        threshold: of a box's score, in (0, 1).
        boxes: how many at most, those of highest score.

    Raises:
        UserError: the fusion reads a saliency map.
    """

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Tokenizer,
        image_processor: Any,
        sam: PromptableModel,
        fusion: MaskFusion | MapFusion,
        *,
        threshold: float,
        boxes: int,
    ) -> None:
        super().__init__(tokenizer)
        if isinstance(fusion, MapFusion):
            raise UserError(
                "A detector's boxes come without a saliency map, which this fusion reads: choose another, such as "
                "fusion=best_iou."
            )
        self.network, self.sam = network, sam
        self._image_processor, self._fusion = image_processor, fusion
        self._threshold, self._boxes = threshold, boxes

    def preprocess(self, image: RGBImage) -> tuple[Tensor, ...]:
        """The image as the detector and as the SAM want it."""
        found = pixel_values(self._image_processor, image, self.network)
        return found, self.sam.preprocess(image)

    def encode(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The detector's image, and SAM's embedding, which all boxes share."""
        image, for_sam = inputs
        return image, self.sam.encode(for_sam[None])[0]

    @abstractmethod
    def find(self, image: Tensor, text: str) -> tuple[Tensor, Tensor]:
        """Boxes (N, 4) as shares of `frame`: centre x, y, width, height; and the logits (N,) of their scores."""

    @abstractmethod
    def frame(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) in pixels of what the boxes of an image of (H, W) pixels are shares of."""

    def answer(self, features: tuple[Tensor, Tensor], text: str, size: tuple[int, int]) -> TextMask:
        """Answer one text; presence is the highest score of all boxes, above the threshold or not."""
        image, embedding = features
        shares, logits = self.find(image, text)
        refuse_broken(torch.cat([shares.flatten(), logits]), "a box", self)
        scores = logits.float().sigmoid()
        best = scores.argsort(descending=True, stable=True)[: self._boxes]
        best = best[scores[best] > self._threshold]
        boxes = self._corners(shares[best].float(), size)
        prompts = Prompts(boxes_xyxy=boxes.cpu().numpy().astype(np.float32))
        mask = torch.zeros(size, dtype=torch.bool, device=image.device)
        for proposals, iou in self.sam.decode(embedding, prompts, size, multimask=self._fusion.multimask):
            refuse_broken(proposals, "a mask", self.sam)
            mask |= self._fusion(proposals, iou)[0]
        return TextMask(mask, float(scores.max()), boxes.tolist(), scores[best].tolist())

    def _corners(self, shares: Tensor, size: tuple[int, int]) -> Tensor:
        """Boxes (N, 4) x0, y0, x1, y1 in pixels, within an image of (H, W) pixels."""
        centre, extent = shares.split(2, dim=-1)
        corners = torch.stack([centre - extent / 2, centre + extent / 2], dim=-2)
        pixels = corners * torch.tensor(self.frame(size), device=shares.device)
        limits = torch.tensor(size[::-1], device=shares.device)
        return torch.minimum(pixels.clamp(min=0), limits).flatten(-2)
