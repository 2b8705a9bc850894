"""SaLIP: SAM proposes, CLIP chooses by the text, SAM draws again in the boxes of the chosen (Aleem 2024)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.regions import region_scores
from medsam_exp.sam.everything import Everything
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.text_segmenter.segmenter import TextMask, TextSegmenter, refuse_broken
from medsam_exp.types import MapFusion, MaskFusion, Prompts, RGBImage, UserError


class SaLIP(TextSegmenter):
    """A cascade of SAM and CLIP without training (SaLIP, arXiv 2404.06362).

    SAM proposes everything in the image; proposals larger than a share of it are dropped. Each is cut out, black
    around, and CLIP embeds it. The proposals nearest to the mean embedding of the texts give boxes, and SAM draws in
    these. A region's score is (1 + cosine) / 2, and the best one's is the presence, which is 0 where nothing is
    proposed.

    The released code differs: it proposes from crops of the image too and fills small holes of what is proposed; CLIP
    sees the middle square of a region; and a box leaves out its last row and column.

    Args:
        sam: proposes and draws.
        fusion: of SAM's proposals for a box.
        clip: chooses.
        everything: how SAM proposes.
        max_area: of a proposal, as a share of the image, in (0, 1].
        regions: how many are chosen, at least 1.

    Raises:
        UserError: a number makes no sense, the fusion reads a saliency map, or the SAM takes no points.
    """

    def __init__(
        self,
        sam: PromptableModel,
        fusion: MaskFusion | MapFusion,
        clip: ClipModel,
        everything: Everything,
        *,
        max_area: float,
        regions: int,
    ) -> None:
        super().__init__(clip.tokenizer)
        if isinstance(fusion, MapFusion):
            raise UserError(
                "SaLIP's boxes come without a saliency map, which this fusion reads: choose another, such as "
                "fusion=single."
            )
        if not sam.framing.takes_points:
            raise UserError(
                "SaLIP asks SAM with points, which this one does not understand: choose another sam."
            )
        if not 0 < max_area <= 1 or regions < 1:
            raise UserError(
                f"text_segmenter.max_area={max_area} must be in (0, 1], and text_segmenter.regions={regions} at "
                "least 1."
            )
        self.sam, self.clip = sam, clip
        self._fusion, self._everything = fusion, everything
        self._max_area, self._regions = max_area, regions

    def preprocess(self, image: RGBImage) -> tuple[Tensor, ...]:
        """The image as SAM wants it, and as it is."""
        return self.sam.preprocess(image), torch.from_numpy(np.ascontiguousarray(image))

    def encode(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, RGBImage]:
        """SAM's embedding (C, g, g), and the image (H, W, 3)."""
        for_sam, image = inputs
        return self.sam.encode(for_sam[None])[0], image.cpu().numpy()

    @torch.no_grad()
    def segment(self, inputs: tuple[Tensor, ...], texts: Sequence[str], size: tuple[int, int]) -> TextMask:
        """Answer the texts of one image by their mean embedding; see `TextSegmenter`."""
        return self._answer(self.encode(inputs), texts, size)

    def answer(self, features: tuple[Tensor, RGBImage], text: str, size: tuple[int, int]) -> TextMask:
        """Answer one text."""
        return self._answer(features, [text], size)

    def _answer(
        self, features: tuple[Tensor, RGBImage], texts: Sequence[str], size: tuple[int, int]
    ) -> TextMask:
        embedding, image = features
        found = self._everything(self.sam, embedding, size)
        small = [each for each in found.regions if 0 < each.area <= self._max_area * size[0] * size[1]]
        mask = torch.zeros(size, dtype=torch.bool, device=embedding.device)
        if not small:
            return TextMask(mask, 0.0)
        text = self.clip.encode_text(self.clip.tokenize(texts).to(embedding.device)).float().mean(0)
        cosines = region_scores(self.clip, image, ((each.mask, each.box_xyxy) for each in small), text)
        refuse_broken(cosines, "a region's cosine", self.clip)
        best = cosines.argsort(descending=True, stable=True)[: self._regions]
        boxes = np.array([small[place].box_xyxy for place in best.tolist()], np.float32)
        prompts = Prompts(boxes_xyxy=boxes)
        for proposals, iou in self.sam.decode(embedding, prompts, size, multimask=self._fusion.multimask):
            refuse_broken(proposals, "a mask", self.sam)
            mask |= self._fusion(proposals, iou)[0]
        scores = ((1 + cosines[best]) / 2).clamp(0, 1).tolist()
        return TextMask(mask, max(scores), boxes.tolist(), scores)


def load_salip(
    sam: PromptableModel,
    fusion: MaskFusion | MapFusion,
    clip: ClipModel,
    points_per_side: int,
    min_iou: float,
    min_stability: float,
    max_overlap: float,
    max_area: float,
    regions: int,
) -> SaLIP:
    """Join a SAM and a CLIP.

    Args:
        sam: see `SaLIP`.
        fusion: see `SaLIP`.
        clip: see `SaLIP`.
        points_per_side: see `Everything`.
        min_iou: see `Everything`.
        min_stability: see `Everything`.
        max_overlap: see `Everything`.
        max_area: see `SaLIP`.
        regions: see `SaLIP`.

    Raises:
        UserError: something does not fit.
    """
    everything = Everything(points_per_side, min_iou, min_stability, max_overlap)
    return SaLIP(sam, fusion, clip, everything, max_area=max_area, regions=regions).eval()
