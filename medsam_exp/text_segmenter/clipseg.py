"""CLIPSeg: a small decoder on a frozen CLIP gives a mask for a text (Lüddecke & Ecker 2022, arXiv 2112.10003)."""

from typing import Any

from open_clip import SimpleTokenizer
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import AutoImageProcessor, CLIPSegForImageSegmentation

from medsam_exp.text_segmenter.folder import load_network, load_processor
from medsam_exp.text_segmenter.segmenter import TextMask, TextSegmenter, pixel_values, refuse_broken
from medsam_exp.types import RGBImage


class CLIPSeg(TextSegmenter):
    """Mask: pixels whose probability, brought to the original frame by bilinear interpolation, exceeds a threshold.

    Args:
        network: transformers' CLIPSeg.
        image_processor: squashes an image to its square.
        threshold: of the probability, in (0, 1).
    """

    def __init__(self, network: CLIPSegForImageSegmentation, image_processor: Any, threshold: float) -> None:
        super().__init__(SimpleTokenizer(context_length=network.config.text_config.max_position_embeddings))
        self.network = network
        self._image_processor, self._threshold = image_processor, threshold

    def preprocess(self, image: RGBImage) -> tuple[Tensor, ...]:
        """Squash an (H, W, 3) uint8 image to (3, s, s) float32."""
        return (pixel_values(self._image_processor, image, self.network),)

    def answer(self, features: tuple[Tensor, ...], text: str, size: tuple[int, int]) -> TextMask:
        """Answer one text; presence is the largest probability of the network's own grid."""
        (image,) = features
        tokens = self.tokenizer([text]).to(image.device)
        answer = self.network(input_ids=tokens, attention_mask=(tokens > 0).long(), pixel_values=image[None])
        logits = answer.logits.float().reshape(1, 1, *answer.logits.shape[-2:])
        refuse_broken(logits, "a mask", self)
        probability = logits.sigmoid()
        whole = interpolate(probability, size, mode="bilinear", align_corners=False)[0, 0]
        return TextMask(whole > self._threshold, float(probability.max()))


def load_clipseg(model: str, threshold: float) -> CLIPSeg:
    """Load CLIPSeg from a local folder.

    Args:
        model: the folder, as CIDAS/clipseg-rd64-refined lies on the hub.
        threshold: of the probability, in (0, 1).

    Raises:
        UserError: something is missing or does not fit.
    """
    network = load_network(CLIPSegForImageSegmentation, model)
    return CLIPSeg(network, load_processor(AutoImageProcessor, model), threshold).eval()
