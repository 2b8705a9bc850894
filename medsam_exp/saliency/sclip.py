"""SCLIP: in the last block each patch attends to those with like queries and like keys (Wang 2024)."""

from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.dense import DenseMethod, likeness


class SCLIP(DenseMethod):
    """Cosine of text and patches after correlative self-attention in the last block (SCLIP, arXiv 2312.01597).

    For the queries q, keys k and values v of a head of width d, the attention softmax(q k' / sqrt(d)) gives way to
    softmax(q q' / sqrt(d)) + softmax(k k' / sqrt(d)); residual path and MLP of the block stay.
    """

    def tokens(self, clip: ClipModel, images: Tensor) -> Tensor:
        """See `DenseMethod`."""
        block = clip.block(clip.depth - 1)
        entering = clip.vision_entering(images, clip.depth - 1)
        query, key, value = block.queries_keys_values(entering)
        attention = likeness(query).softmax(dim=-1) + likeness(key).softmax(dim=-1)
        return block.after_attention(entering, attention @ value)
