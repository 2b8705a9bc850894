"""Regions of an image as a CLIP sees them: cut out and black around, one by one (as SaLIP does, arXiv 2404.06362)."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from medsam_exp.clip.model import ClipModel
from medsam_exp.types import Mask, RGBImage

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, x1 and y1 one past the last."""
_AT_ONCE = 32


def cut_out(image: RGBImage, mask: Mask, box: Box) -> RGBImage:
    """What a box (h, w) holds of an (H, W, 3) image, black where the box's (h, w) mask is not."""
    x0, y0, x1, y1 = box
    cut: RGBImage = np.where(mask[..., None], image[y0:y1, x0:x1], np.uint8(0))
    return cut


def region_scores(
    clip: ClipModel, image: RGBImage, regions: Iterable[tuple[Mask, Box]], text_embedding: Tensor
) -> Tensor:
    """How well a text fits each region of an image.

    Args:
        clip: in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        regions: N masks within their boxes, none empty, and the boxes; taken a few at a time.
        text_embedding: (D,), any length.

    Returns:
        Cosines (N,) float32 of the text with the embedding of each region, cut out and squashed to the network's input.
    """
    device, found = text_embedding.device, []
    left = iter(regions)
    while some := list(islice(left, _AT_ONCE)):
        cuts = [clip.preprocess(cut_out(image, mask, box)) for mask, box in some]
        embedded = clip.encode_image(torch.stack(cuts).to(device)).float()
        found.append(cosine_similarity(embedded, text_embedding.float()[None], dim=-1))
    return torch.cat(found) if found else torch.zeros(0, device=device)
