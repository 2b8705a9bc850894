"""OWLv2 (Minderer 2023, arXiv 2306.09683) finds boxes from a text, a SAM draws in them."""

from open_clip import SimpleTokenizer
from torch import Tensor
from transformers import AutoImageProcessor, Owlv2ForObjectDetection

from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.text_segmenter.detector import BoxDetector
from medsam_exp.text_segmenter.folder import load_network, load_processor
from medsam_exp.types import MapFusion, MaskFusion


class Owlv2(BoxDetector):
    """A box's score is its match with the whole text."""

    def find(self, image: Tensor, text: str) -> tuple[Tensor, Tensor]:
        """Boxes as shares of the padded square, and their logits; see `BoxDetector.find`."""
        tokens = self.tokenizer([text]).to(image.device)
        answer = self.network(input_ids=tokens, attention_mask=(tokens > 0).long(), pixel_values=image[None])
        return answer.pred_boxes[0], answer.logits[0, :, 0]

    def frame(self, size: tuple[int, int]) -> tuple[int, int]:
        """The square of the longer side: the image is padded at the right and the bottom."""
        return max(size), max(size)


def load_owlv2(
    model: str, sam: PromptableModel, fusion: MaskFusion | MapFusion, threshold: float, boxes: int
) -> Owlv2:
    """Load OWLv2 from a local folder.

    Args:
        model: the folder, as google/owlv2-base-patch16-ensemble lies on the hub.
        sam: draws the masks.
        fusion: of SAM's proposals for a box.
        threshold: of a box's score, in (0, 1).
        boxes: how many at most, those of highest score.

    Raises:
        UserError: something is missing or does not fit.
    """
    network = load_network(Owlv2ForObjectDetection, model)
    tokenizer = SimpleTokenizer(context_length=network.config.text_config.max_position_embeddings)
    processor = load_processor(AutoImageProcessor, model)
    return Owlv2(network, tokenizer, processor, sam, fusion, threshold=threshold, boxes=boxes).eval()
