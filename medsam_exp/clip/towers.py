"""Vision towers that can be run in two parts: up to a layer once, and from there on many times.

Shapes: B images, T tokens (CLS and its like, then gh * gw patches row by row), C channels, D embedding.
"""

from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer as OpenClipVit
from timm.models.vision_transformer import VisionTransformer as TimmVit
from torch import Tensor, nn

from medsam_exp.clip import blocks
from medsam_exp.clip.capabilities import Capability, VisionLayout, VisionTower
from medsam_exp.clip.conv_towers import ModifiedResNetTower, TimmMapTower, map_grid


class _TransformerTower(VisionTower):
    """Base of the vision transformers: the same grid after every block.

    Args:
        stack: its blocks, in order.
        grid: (gh, gw) patches.
        reads_cls: whether the embedding is read from the class token alone.
        knows_attention: whether the embedding can be computed together with the attention of plain blocks.
    """

    def __init__(
        self, stack: Any, grid: tuple[int, int], reads_cls: bool, knows_attention: bool = True
    ) -> None:
        self._blocks = stack
        self._grid, self._reads_cls = grid, reads_cls
        capabilities: set[Capability] = {"features", "tokens"}
        if knows_attention and all(map(blocks.is_plain, self._blocks)):
            capabilities.add("attention")
        depth = len(self._blocks)
        last_layer = depth - 2 if reads_cls else depth - 1
        super().__init__(VisionLayout("VisionTransformer", depth, last_layer, frozenset(capabilities)))

    def grid_after(self, layer: int) -> tuple[int, int]:
        """(gh, gw) patches, the same after every block."""
        return self._grid

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based block `layer`."""
        return self._through(self._blocks[: layer + 1], self._embedded(images))

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Embeddings (B, D) from the tokens after `layer`; the last block is computed for CLS alone."""
        stack = list(self._blocks[layer + 1 :])
        if stack and self._reads_cls and blocks.is_plain(stack[-1]):
            tokens = blocks.for_cls(stack[-1], self._through(stack[:-1], tokens))
        else:
            tokens = self._through(stack, tokens)
        return self._embedding(tokens)

    def forward_with_attention(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings (B, D), and the attention (B, heads, T, T) of each block, on which they depend.

        Raises:
            UserError: a block is not a plain one, so that its attention is unknown.
        """
        if "attention" not in self.layout.capabilities:
            raise self._refusal("attention")
        tokens, attention = self._embedded(images), []
        for block in self._blocks:
            tokens, paid = blocks.with_attention(block, tokens)
            attention.append(paid)
        return self._embedding(tokens), attention

    def _through(self, stack: Any, tokens: Tensor) -> Tensor:
        for block in stack:
            tokens = block(tokens)
        return tokens

    def _embedded(self, images: Tensor) -> Tensor:
        """Tokens (B, T, C) before the first block."""
        raise NotImplementedError

    def _embedding(self, tokens: Tensor) -> Tensor:
        """Embeddings (B, D) of the tokens after the last block."""
        raise NotImplementedError


class _TimmTower(_TransformerTower):
    """A timm vision transformer, as in BiomedCLIP."""

    def __init__(self, visual: TimmModel) -> None:
        self._visual, self._trunk = visual, visual.trunk
        trunk = visual.trunk
        rows, columns = trunk.patch_embed.dynamic_feat_size(visual.image_size)
        self.prefix_tokens: int = trunk.num_prefix_tokens
        pooled = trunk.attn_pool is None
        super().__init__(
            trunk.blocks, (rows, columns), pooled and trunk.global_pool == "token", knows_attention=pooled
        )

    def _embedded(self, images: Tensor) -> Tensor:
        trunk = self._trunk
        tokens: Tensor = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(images))))
        return tokens

    def _embedding(self, tokens: Tensor) -> Tensor:
        result: Tensor = self._visual.head(self._trunk.forward_head(self._trunk.norm(tokens)))
        return result


class _OpenClipTower(_TransformerTower):
    """open_clip's vision transformer, as in OpenAI's and LAION's models."""

    prefix_tokens = 1

    def __init__(self, visual: OpenClipVit) -> None:
        self._visual = visual
        rows, columns = visual.grid_size
        super().__init__(visual.transformer.resblocks, (rows, columns), visual.pool_type == "tok")

    def _through(self, stack: Any, tokens: Tensor) -> Tensor:
        if self._visual.transformer.batch_first:
            return super()._through(stack, tokens)
        return super()._through(stack, tokens.transpose(0, 1)).transpose(0, 1)

    def _embedded(self, images: Tensor) -> Tensor:
        tokens: Tensor = self._visual._embeds(images)
        return tokens

    def _embedding(self, tokens: Tensor) -> Tensor:
        pooled, _ = self._visual._pool(tokens)
        result: Tensor = pooled if self._visual.proj is None else pooled @ self._visual.proj
        return result


def vision_tower(visual: nn.Module) -> VisionTower:
    """Wrap a vision network so that it can be split after a layer; unknown kinds refuse when they are split."""
    kind = type(visual).__name__
    if isinstance(visual, TimmModel):
        if _is_splittable(visual.trunk):
            return _TimmTower(visual)
        if (grid := map_grid(visual)) is not None:
            return TimmMapTower(visual, grid)
        kind = type(visual.trunk).__name__
    if isinstance(visual, ModifiedResNet):
        return ModifiedResNetTower(visual)
    if isinstance(visual, OpenClipVit):
        if visual.attn_pool is None and visual.pool_type != "none":
            return _OpenClipTower(visual)
        kind = "VisionTransformer with attentional pooling"
    return VisionTower(VisionLayout(kind))


def _is_splittable(trunk: nn.Module) -> bool:
    """Whether a timm network runs as timm's plain vision transformer does."""
    kind: Any = type(trunk)
    return (
        isinstance(trunk, TimmVit)
        and kind.forward_features is TimmVit.forward_features
        and kind.forward is TimmVit.forward
    )
