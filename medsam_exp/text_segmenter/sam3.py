"""SAM 3: all instances of a concept that a short text names, and whether there are any (Carion 2025, arXiv 2511.16719).

Medical SAM3 (arXiv 2601.10880) is the same network, fine-tuned.
"""

from pathlib import Path
from typing import Any

import torch
from open_clip import SimpleTokenizer
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model

from medsam_exp.runtime.checkpoint.fit import state_dict_diff
from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.runtime.wording import first_few
from medsam_exp.text_segmenter.folder import load_network
from medsam_exp.text_segmenter.meta_sam3_layout import from_meta
from medsam_exp.text_segmenter.segmenter import TextMask, TextSegmenter, pixel_values, refuse_broken
from medsam_exp.text_segmenter.weight_files import GROUP
from medsam_exp.types import RGBImage, UserError

_CONTEXT = 32
"""Tokens of a text that SAM 3 reads (its published tokenizer's length)."""
_NO_BOX = -10
"""Label of a box that is masked, in transformers."""


class Sam3(TextSegmenter):
    """Mask: the instances whose score, times the presence of the concept, exceeds a threshold, united.

    Args:
        network: transformers' SAM 3.
        threshold: of an instance's score, in (0, 1).
        mask_threshold: of a pixel's probability within an instance, in (0, 1).
    """

    def __init__(self, network: Sam3Model, threshold: float, mask_threshold: float) -> None:
        super().__init__(SimpleTokenizer(context_length=_CONTEXT))
        self.network = network
        side = network.config.vision_config.backbone_config.image_size
        self._image_processor = Sam3ImageProcessor(size={"height": side, "width": side})
        self._threshold, self._mask_threshold = threshold, mask_threshold

    def preprocess(self, image: RGBImage) -> tuple[Tensor, ...]:
        """Squash an (H, W, 3) uint8 image to (3, s, s) float32."""
        return (pixel_values(self._image_processor, image, self.network),)

    def encode(self, inputs: tuple[Tensor, ...]) -> Any:
        """The vision tower's pyramid, which all texts share."""
        return self.network.get_vision_features(inputs[0][None])

    def answer(self, features: Any, text: str, size: tuple[int, int]) -> TextMask:
        """Answer one text; presence is the network's own."""
        tokens = self.tokenizer([text]).to(features.fpn_hidden_states[0].device)
        # Without a box Meta's network still reads the class token of its prompts' geometry, which transformers' leaves
        # out; with a masked box it reads that alone.
        found = self.network(
            vision_embeds=features,
            input_ids=tokens,
            attention_mask=(tokens > 0).long(),
            input_boxes=torch.zeros(1, 1, 4, device=tokens.device),
            input_boxes_labels=torch.full((1, 1), _NO_BOX, device=tokens.device),
        )
        refuse_broken(found.pred_masks, "a mask", self)
        refuse_broken(found.pred_logits, "a score", self)
        presence = found.presence_logits.float().sigmoid()[0, 0]
        scores = found.pred_logits[0].float().sigmoid() * presence
        kept = scores > self._threshold
        mask = torch.zeros(size, dtype=torch.bool, device=scores.device)
        for instance in found.pred_masks[0][kept].float().sigmoid():
            whole = interpolate(instance[None, None], size, mode="bilinear", align_corners=False)[0, 0]
            mask |= whole > self._mask_threshold
        limits = torch.tensor([size[1], size[0]] * 2, device=scores.device)
        boxes = torch.minimum((found.pred_boxes[0][kept].float() * limits).clamp(min=0), limits)
        return TextMask(mask, float(presence), boxes.tolist(), scores[kept].tolist())


def load_sam3(model: str, threshold: float, mask_threshold: float, key: str = GROUP) -> Sam3:
    """Load SAM 3 from a local folder, or from one file of weights of the full-size network.

    Args:
        model: a folder as facebook/sam3 lies on the hub, or a file with Meta's names or transformers', such as
            Medical SAM3's checkpoint.
        threshold: of an instance's score, in (0, 1).
        mask_threshold: of a pixel's probability within an instance, in (0, 1).
        key: configuration group that names the model, for messages.

    Raises:
        UserError: something is missing or does not fit.
    """
    path = Path(model).expanduser()
    network = _from_file(path, key) if path.is_file() else load_network(Sam3Model, model, key=key)
    return Sam3(network, threshold, mask_threshold).eval()


def _from_file(path: Path, key: str) -> Sam3Model:
    named, config = f"{key}.model={path}", Sam3Config()
    state = from_meta(read_weights(path, named))
    with torch.device("meta"):  # what does not fit is known before gigabytes are made
        absent = state_dict_diff(state, Sam3Model(config)).missing
    if absent:
        raise UserError(
            f"{named} does not fit SAM 3: {len(absent)} weights are missing ({first_few(absent, 3)}); take Meta's "
            "sam3.pt, a checkpoint fine-tuned from it, or the hub's folder."
        )
    return load_network(Sam3Model, str(path), config, state, key)
