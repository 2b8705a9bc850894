"""CLIP Surgery: patches attend by their values beside the last blocks; what all texts share is taken out (Li 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.clip.blocks import PlainBlock
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.dense import DenseMethod, likeness, side_path
from medsam_exp.saliency.method import at_least_one, frozen


@dataclass(frozen=True)
class CLIPSurgery(DenseMethod):
    """Architecture and feature surgery for a single text (CLIP Surgery, arXiv 2304.05653).

    - architecture: beside the last blocks runs a path without their MLPs (`side_path`), whose attention is
      softmax(v v' / sqrt(d)) of each head's values v of width d;
    - features: with unit embeddings f_p of patch p, t of the text and r of a text that means nothing, the relevance is
      f_p (t - r): what any text would find is redundant. The paper subtracts the mean over many classes, and for a
      single text its published code subtracts that of the empty one, as is done here.

    Args:
        blocks: how many of the last blocks, at least 1; all when the network has fewer.
        redundant: texts whose mean embedding is taken out; empty leaves feature surgery out.

    Raises:
        UserError: the number makes no sense.
    """

    blocks: int = 6
    redundant: Sequence[str] = ("",)

    def __post_init__(self) -> None:
        at_least_one("blocks", self.blocks)

    def tokens(self, clip: ClipModel, images: Tensor) -> Tensor:
        """See `DenseMethod`."""
        return side_path(clip, images, self.blocks, _value_to_value)

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32, a difference of cosines; see `SaliencyMethod`."""
        clip.require(self.needs, type(self).__name__)
        with frozen(clip), torch.no_grad():
            wanted = normalize(text_embedding.float(), dim=-1)
            if self.redundant:
                ids = clip.tokenize(list(self.redundant)).to(images.device)
                wanted = wanted - normalize(clip.encode_text(ids).float(), dim=-1).mean(dim=0)
            patches = normalize(clip.embedded_alone(self.tokens(clip, images)).float(), dim=-1)
            result: Tensor = (patches * wanted[:, None]).sum(dim=-1).unflatten(1, clip.grid)
            return result


def _value_to_value(block: PlainBlock, tokens: Tensor) -> Tensor:
    value = block.queries_keys_values(tokens)[2]
    return likeness(value).softmax(dim=-1) @ value
