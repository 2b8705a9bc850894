"""Vision towers that can be run in two parts: up to a layer once, and from there on many times.

Shapes: B images, T tokens (CLS and its like, then gh * gw patches row by row), C channels, D embedding.
"""

from typing import Any

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer as OpenClipVit
from timm.layers import AttentionPoolLatent
from timm.models.vision_transformer import VisionTransformer as TimmVit
from torch import Tensor, nn
from torch.func import functional_call

from medsam_exp.clip import blocks
from medsam_exp.clip.capabilities import Capability, VisionLayout, VisionTower


class _TransformerTower(VisionTower):
    """Base of the vision transformers: a stack of blocks, the same grid after each; some read CLS alone in the end."""

    def __init__(
        self, stack: Any, grid: tuple[int, int], reads_cls: bool, knows_attention: bool = True
    ) -> None:
        self._blocks = stack
        self._grid, self._reads_cls = grid, reads_cls
        capabilities: set[Capability] = {"features", "tokens"}
        if all(map(blocks.is_plain, self._blocks)):
            capabilities |= {"blocks", "attention"} if knows_attention else {"blocks"}
        depth = len(self._blocks)
        last_layer = depth - 2 if reads_cls else depth - 1
        super().__init__(VisionLayout("VisionTransformer", depth, last_layer, frozenset(capabilities)))

    def grid_after(self, layer: int) -> tuple[int, int]:
        return self._grid

    def entering(self, images: Tensor, layer: int) -> Tensor:
        return self._through(self._blocks[:layer], self._embedded(images))

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        return self.entering(images, layer + 1)

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        stack = list(self._blocks[layer + 1 :])
        if stack and self._reads_cls and blocks.is_plain(stack[-1]):  # the last block for CLS alone
            tokens = blocks.for_cls(stack[-1], self._through(stack[:-1], tokens))
        else:
            tokens = self._through(stack, tokens)
        return self._embedding(tokens)

    def forward_with_attention(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        if "attention" not in self.layout.capabilities:
            raise self._refusal("attention")
        tokens, attention = self._embedded(images), []
        for block in self._blocks:
            tokens, paid = blocks.with_attention(block, tokens)
            attention.append(paid)
        return self._embedding(tokens), attention

    def block(self, layer: int) -> blocks.PlainBlock:
        if "blocks" not in self.layout.capabilities:
            raise self._refusal("blocks")
        return blocks.PlainBlock(self._blocks[layer])

    def pooled(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self._reads_cls:
            return self._embedding(tokens), None
        return self._each_embedded(tokens.mean(dim=1, keepdim=True)).squeeze(1), None

    def patch_embeddings(self, tokens: Tensor) -> Tensor:
        if "blocks" not in self.layout.capabilities:
            raise self._refusal("blocks")
        last = self._blocks[-1]
        tokens = blocks.value_path(last, tokens) if self._reads_cls else self._through([last], tokens)
        return self.embedded_alone(tokens)

    def embedded_alone(self, tokens: Tensor) -> Tensor:
        return self._each_embedded(tokens[:, self.prefix_tokens :])

    def _each_embedded(self, tokens: Tensor) -> Tensor:
        """Embeddings (B, N, D) of tokens (B, N, C), each as of an image all of whose tokens are this one."""
        alone = tokens.flatten(0, 1)[:, None].expand(-1, self.prefix_tokens + 1, -1)
        result: Tensor = self._embedding(alone).unflatten(0, tokens.shape[:2])
        return result

    def _through(self, stack: Any, tokens: Tensor) -> Tensor:
        for block in stack:
            tokens = blocks.through(block, tokens)
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

    def pooled(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        trunk = self._trunk
        if not isinstance(trunk.attn_pool, AttentionPoolLatent):
            return super().pooled(tokens)
        pooled, paid = blocks.pooled_by_attention(trunk.attn_pool, trunk.norm(tokens))
        return self._visual.head(trunk.head(trunk.head_drop(trunk.fc_norm(pooled)))), paid


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


class _ResNetTower(VisionTower):
    """open_clip's ResNet with attention pooling, as in OpenAI's RN50; its layers are the four stages.

    As in `_TimmMapTower`, a map is handed over as tokens (B, gh * gw, C), row by row, with none before the patches.
    """

    def __init__(self, visual: ModifiedResNet) -> None:
        self._visual = visual
        self._stages = [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
        super().__init__(VisionLayout("ModifiedResNet", 4, 3, frozenset({"features"})))

    def grid_after(self, layer: int) -> tuple[int, int]:
        size = self._visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return height // 4 // 2**layer, width // 4 // 2**layer

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        features = self._visual.stem(images)
        for stage in self._stages[: layer + 1]:
            features = stage(features)
        result: Tensor = features.flatten(2).transpose(1, 2)
        return result

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        features = tokens.transpose(1, 2).unflatten(2, self.grid_after(layer))
        for stage in self._stages[layer + 1 :]:
            features = stage(features)
        result: Tensor = self._visual.attnpool(features)
        return result


class _TimmMapTower(VisionTower):
    """A timm network that ends in a feature map, such as ConvNeXt, ResNet or Swin; its one layer is that map."""

    def __init__(self, visual: TimmModel, grid: tuple[int, int]) -> None:
        self._visual, self._trunk, self._grid = visual, visual.trunk, grid
        self._channels_last = getattr(visual.trunk, "output_fmt", "NCHW") == "NHWC"
        kind = type(visual.trunk).__name__
        super().__init__(VisionLayout(kind, 1, 0, frozenset({"features"})))

    def grid_after(self, layer: int) -> tuple[int, int]:
        return self._grid

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        features = self._trunk.forward_features(images)
        result: Tensor = (
            features.flatten(1, 2) if self._channels_last else features.flatten(2).transpose(1, 2)
        )
        return result

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        features = tokens.unflatten(1, self._grid)
        features = features if self._channels_last else features.permute(0, 3, 1, 2)
        result: Tensor = self._visual.head(self._trunk.forward_head(features))
        return result


def _map_grid(visual: TimmModel) -> tuple[int, int] | None:
    """(gh, gw) of the map that a timm network ends in, without computing it; None when it ends in tokens."""
    trunk = visual.trunk
    if not hasattr(trunk, "forward_head"):
        return None
    tensors = (*trunk.named_parameters(), *trunk.named_buffers())
    weightless = {f"trunk.{name}": tensor.detach().to("meta") for name, tensor in tensors}
    images = torch.empty(1, 3, *visual.image_size, device="meta")
    training = [part for part in trunk.modules() if part.training]
    try:
        trunk.eval()
        shape = functional_call(_Features(trunk), weightless, (images,)).shape
    except (RuntimeError, NotImplementedError):  # the network holds tensors that are neither
        return None
    finally:
        for part in training:
            part.training = True
    if len(shape) != 4:
        return None
    channels_last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"
    return (shape[1], shape[2]) if channels_last else (shape[2], shape[3])


class _Features(nn.Module):
    """What comes before a timm network's head."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.trunk.forward_features(images)  # type: ignore[operator]
        return features


def vision_tower(visual: nn.Module) -> VisionTower:
    """Wrap a vision network so that it can be split after a layer; unknown kinds refuse when they are split."""
    kind = type(visual).__name__
    if isinstance(visual, TimmModel):
        if is_splittable(visual.trunk):
            return _TimmTower(visual)
        if (grid := _map_grid(visual)) is not None:
            return _TimmMapTower(visual, grid)
        kind = type(visual.trunk).__name__
    if isinstance(visual, ModifiedResNet):
        return _ResNetTower(visual)
    if isinstance(visual, OpenClipVit):
        if visual.attn_pool is None and visual.pool_type != "none":
            return _OpenClipTower(visual)
        kind = "VisionTransformer with attentional pooling"
    return VisionTower(VisionLayout(kind))


def is_splittable(trunk: nn.Module) -> bool:
    """Whether a timm network runs as timm's plain vision transformer does."""
    kind: Any = type(trunk)
    return (
        isinstance(trunk, TimmVit)
        and kind.forward_features is TimmVit.forward_features
        and kind.forward is TimmVit.forward
    )
