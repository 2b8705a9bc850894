"""SAM 2 and 2.1 (Ravi 2024, arXiv 2408.00714) on single images, by transformers' networks.

Left out is what videos need: memory, object pointers, the score of an object that is hidden. As in Meta's image
predictor, a prompt's one answer is, where the network is unsure of its border, the best of the three proposals.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from medsam_exp.sam.framing import Framing
from medsam_exp.sam.transformers_model import TransformersModel, share_positions


class Sam2(TransformersModel):
    """A network of the shape of SAM 2: three levels of features, of which the two finer ones sharpen the masks.

    An image's embedding is one array: the finer levels, which have 4 and 16 pixels for each cell of the grid, stand
    behind the coarse one as further channels, D + D + 2 D of them for a coarse level of D channels.

    Args:
        sam: transformers' `Sam2Model`, or one that differs in its image encoder alone; the positions of its levels,
            which only videos read, are no longer made, in place.
        framing: of its family.
    """

    def __init__(self, sam: Any, framing: Framing) -> None:
        super().__init__(sam, framing)
        sam.vision_encoder.neck.position_encoding = _Unread()

    @property
    def untrained(self) -> tuple[nn.Module, ...]:
        """What reads masks as prompts, and what says whether an object is hidden."""
        return *super().untrained, self.sam.mask_decoder.pred_obj_score_head

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """(4 D, g, g)."""
        return 4 * self.sam.prompt_encoder.hidden_size, *self.sam.prompt_encoder.image_embedding_size

    def encode(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S), input frame; returns (B, 4 D, g, g) float32."""
        fine, middle, coarse = (level.float() for level in self._encoded(images).fpn_hidden_states)
        with torch.autocast(images.device.type, enabled=False):
            fine, middle = self.sam.mask_decoder.conv_s0(fine), self.sam.mask_decoder.conv_s1(middle)
            coarse = coarse + self.sam.no_memory_embedding.view(1, -1, 1, 1)
        return torch.cat([coarse, pixel_unshuffle(middle, 2), pixel_unshuffle(fine, 4)], dim=1)

    def _image_of(self, embeddings: Tensor) -> dict[str, Any]:
        width = embeddings.shape[1] // 4
        coarse, middle, fine = embeddings.split([width, width, 2 * width], dim=1)
        return {"image_embeddings": [pixel_shuffle(fine, 4), pixel_shuffle(middle, 2), coarse]}


class _Unread(nn.Module):
    """Takes the place of the sine positions of each level: a sixth of EdgeTAM's time on a CPU (measured)."""

    def forward(self, _: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Nothing."""
        return torch.empty(0, dtype=dtype, device=device)


def build_sam2(
    *,
    width: int = 96,
    heads: int = 1,
    blocks: tuple[int, ...] = (1, 2, 7, 2),
    global_blocks: tuple[int, ...] = (5, 7, 9),
    windows: tuple[int, ...] = (8, 4, 14, 7),
    background: int = 7,
    side: int = 1024,
    channels: int = 256,
    mlp_dim: int = 2048,
) -> nn.Module:
    """Build transformers' `Sam2Model` with random weights; the defaults are Meta's sam2.1_hiera_t.yaml.

    Args:
        width: channels of the first of four stages; each further one has twice as many.
        heads: attention heads of the first stage; each further one has twice as many.
        blocks: of each stage.
        global_blocks: 0-based blocks with global attention; the others attend within windows.
        windows: side of each stage's windows, in cells.
        background: side of the position embedding that is enlarged to the grid of the first stage.
        side: S, in pixels, a multiple of 32.
        channels: D, of the coarse level.
        mlp_dim: width of the decoder's perceptrons.
    """
    from transformers import Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

    widths, head_counts = ([first * 2**stage for stage in range(4)] for first in (width, heads))
    backbone = Sam2HieraDetConfig(
        hidden_size=width,
        image_size=[side, side],
        window_positional_embedding_background_size=[background, background],
        blocks_per_stage=list(blocks),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=head_counts,
        window_size_per_stage=list(windows),
        global_attention_blocks=list(global_blocks),
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=feature_sizes(side, 16),
        fpn_hidden_size=channels,
    )
    return sam2_shaped(Sam2Model, vision, side=side, patch=16, channels=channels, mlp_dim=mlp_dim)


def feature_sizes(side: int, patch: int) -> list[list[int]]:
    """Grids of the three levels, fine to coarse, for images of `side` pixels and a coarse cell of `patch`."""
    return [[side * factor // patch] * 2 for factor in (4, 2, 1)]


def sam2_shaped(
    kind: Any, vision: Any, *, side: int, patch: int, channels: int = 256, mlp_dim: int = 2048
) -> nn.Module:
    """Put SAM 2's prompt encoder and mask decoder behind an image encoder, all with random weights.

    Args:
        kind: transformers' class of the whole.
        vision: configuration of the image encoder.
        side: S, in pixels.
        patch: side of a cell of the coarse level.
        channels: D, of the coarse level.
        mlp_dim: width of the decoder's perceptrons.
    """
    prompt = {"image_size": side, "patch_size": patch, "hidden_size": channels}
    decoder = {"hidden_size": channels, "mlp_dim": mlp_dim, "iou_head_hidden_dim": channels}
    config = kind.config_class(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder
    )
    return share_positions(kind(config))
