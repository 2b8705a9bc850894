"""Grounding DINO (Liu 2023, arXiv 2303.05499) finds boxes from a text, a SAM draws in them."""

from typing import Any

from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, GroundingDinoForObjectDetection

from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.text_segmenter.detector import BoxDetector
from medsam_exp.text_segmenter.folder import load_network, load_processor
from medsam_exp.types import MapFusion, MaskFusion, UserError


class GroundingDino(BoxDetector):
    """A box's score is that of the word of the text that fits it best."""

    def find(self, image: Tensor, text: str) -> tuple[Tensor, Tensor]:
        """Boxes as shares of the image's sides, and their logits; see `BoxDetector.find`."""
        tokens = self.tokenizer([text]).to(image.device)
        answer = self.network(input_ids=tokens, pixel_values=image[None])
        return answer.pred_boxes[0], answer.logits[0].amax(-1)

    def frame(self, size: tuple[int, int]) -> tuple[int, int]:
        """The image itself."""
        return size[1], size[0]


class SentenceTokenizer:
    """Texts as Grounding DINO was trained on them: in small letters, with a full stop at the end.

    Args:
        tokenizer: transformers' BERT tokenizer.
        context: tokens that are read at most.
    """

    def __init__(self, tokenizer: Any, context: int) -> None:
        self.tokenizer, self._context = tokenizer, context

    def clean_fn(self, text: str) -> str:
        """The text as it is written for the network."""
        return f"{text.strip().rstrip('.').lower()}."

    def __call__(self, texts: list[str]) -> Tensor:
        """(n, L) int64 token ids."""
        ids: Tensor = self.tokenizer(
            [self.clean_fn(text) for text in texts],
            truncation=True,
            padding=True,
            max_length=self._context,
            return_tensors="pt",
        )["input_ids"]
        return ids


def load_grounding_dino(
    model: str, sam: PromptableModel, fusion: MaskFusion | MapFusion, threshold: float, boxes: int
) -> GroundingDino:
    """Load Grounding DINO from a local folder.

    Args:
        model: the folder, as IDEA-Research/grounding-dino-tiny lies on the hub.
        sam: draws the masks.
        fusion: of SAM's proposals for a box.
        threshold: of a box's score, in (0, 1).
        boxes: how many at most, those of highest score.

    Raises:
        UserError: something is missing or does not fit.
    """
    network = load_network(GroundingDinoForObjectDetection, model)
    words, known = load_processor(AutoTokenizer, model), network.config.text_config.vocab_size
    if max(words.get_vocab().values(), default=0) >= known:
        raise UserError(
            f"text_segmenter.model={model} has a tokenizer of more words than the {known} of its network; take the "
            "hub's folder whole."
        )
    tokenizer = SentenceTokenizer(words, network.config.max_text_len)
    processor = load_processor(AutoImageProcessor, model)
    return GroundingDino(network, tokenizer, processor, sam, fusion, threshold=threshold, boxes=boxes).eval()
