"""Segment Anything (Kirillov 2023), by segment-anything's own networks."""

import torch
from segment_anything.modeling import ImageEncoderViT, Sam
from torch import Tensor, nn

from medsam_exp.sam.attention import use_fused_attention
from medsam_exp.sam.framing import Framing, LongestSide
from medsam_exp.sam.promptable import PromptableModel


class SamModel(PromptableModel):
    """Meta's prompt encoder and mask decoder behind any image encoder; Meta's own one gets fused attention.

    Numbers equal those of `segment_anything.SamPredictor`.

    Args:
        sam: gives its three networks over; the keys of the state dict stay Meta's.
        framing: of its family; None is Meta's.

    Example:
        >>> import torch
        >>> from medsam_exp import PhantomDataset, load_sam
        >>> sam, scans = load_sam("tiny"), PhantomDataset(seed=2, count=1)
        >>> image = sam.preprocess(scans.read_image(scans.samples[0].id))
        >>> with torch.no_grad():
        ...     tuple(sam.encode(image[None]).shape)
        (1, 128, 16, 16)
    """

    takes_masks = True

    def __init__(self, sam: Sam, framing: Framing | None = None) -> None:
        side = self.side_of(sam)
        super().__init__(framing or LongestSide(side), side)
        if isinstance(sam.image_encoder, ImageEncoderViT):
            use_fused_attention(sam.image_encoder)
        self.image_encoder = sam.image_encoder
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder

    @staticmethod
    def side_of(network: Sam) -> int:
        """S of segment-anything's network."""
        side: int = network.image_encoder.img_size
        return side

    @property
    def network(self) -> nn.Module:
        """Itself: its names are Meta's."""
        return self

    @property
    def encoder(self) -> nn.Module:
        """The image encoder."""
        encoder: nn.Module = self.image_encoder
        return encoder

    @property
    def untrained(self) -> tuple[nn.Module, ...]:
        """What reads masks as prompts."""
        return (self.prompt_encoder.mask_downscaling,)

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """(C, g, g)."""
        return self.prompt_encoder.embed_dim, *self.prompt_encoder.image_embedding_size

    def encode(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S), input frame; returns (B, C, g, g)."""
        result: Tensor = self.image_encoder(images.to(next(self.image_encoder.parameters()).dtype))
        return result

    def decode_low_res(
        self,
        image_embeddings: Tensor,
        boxes: Tensor | None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        multimask: bool = False,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Turn N prompts into M masks each; see `PromptableModel`."""
        # In half precision a coordinate would be off by pixels.
        with torch.autocast(image_embeddings.device.type, enabled=False):
            sparse, dense = self.prompt_encoder(
                points=None if points is None else (points, labels), boxes=boxes, masks=masks
            )
            image_pe = self.prompt_encoder.get_dense_pe()
        # The decoder repeats the embedding of one image for all prompts and adds `dense` to it; several
        # images therefore travel inside `dense`.
        logits, iou_predictions = self.mask_decoder(
            image_embeddings=torch.zeros_like(image_embeddings[:1]),
            image_pe=image_pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense + image_embeddings,
            multimask_output=multimask,
        )
        return logits.float(), iou_predictions.float()
