"""Vision towers that keep a feature map, run in two parts: open_clip's ResNets, and timm's convolutional networks.

A map is handed over as tokens (B, gh * gw, C), row by row, with none before the patches.
"""

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import Tensor, nn
from torch.func import functional_call

from medsam_exp.clip.capabilities import VisionLayout, VisionTower


class ModifiedResNetTower(VisionTower):
    """open_clip's ResNet with attention pooling, as in OpenAI's RN50; its layers are the four stages."""

    def __init__(self, visual: ModifiedResNet) -> None:
        self._visual = visual
        self._stages = [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
        super().__init__(VisionLayout("ModifiedResNet", 4, 3, frozenset({"features"})))

    def grid_after(self, layer: int) -> tuple[int, int]:
        """(gh, gw) of the map after the 0-based stage `layer`."""
        size = self._visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return height // 4 // 2**layer, width // 4 // 2**layer

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Features (B, gh * gw, C) after the 0-based stage `layer`."""
        features = self._visual.stem(images)
        for stage in self._stages[: layer + 1]:
            features = stage(features)
        result: Tensor = features.flatten(2).transpose(1, 2)
        return result

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Embeddings (B, D) from the features after stage `layer`."""
        features = tokens.transpose(1, 2).unflatten(2, self.grid_after(layer))
        for stage in self._stages[layer + 1 :]:
            features = stage(features)
        result: Tensor = self._visual.attnpool(features)
        return result


class TimmMapTower(VisionTower):
    """A timm network that ends in a feature map, such as ConvNeXt, ResNet or Swin; its one layer is that map."""

    def __init__(self, visual: TimmModel, grid: tuple[int, int]) -> None:
        self._visual, self._trunk, self._grid = visual, visual.trunk, grid
        self._channels_last = getattr(visual.trunk, "output_fmt", "NCHW") == "NHWC"
        kind = type(visual.trunk).__name__
        super().__init__(VisionLayout(kind, 1, 0, frozenset({"features"})))

    def grid_after(self, layer: int) -> tuple[int, int]:
        """(gh, gw) of the last map."""
        return self._grid

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Features (B, gh * gw, C) of the last map."""
        features = self._trunk.forward_features(images)
        result: Tensor = (
            features.flatten(1, 2) if self._channels_last else features.flatten(2).transpose(1, 2)
        )
        return result

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Embeddings (B, D) from the last map."""
        features = tokens.unflatten(1, self._grid)
        features = features if self._channels_last else features.permute(0, 3, 1, 2)
        result: Tensor = self._visual.head(self._trunk.forward_head(features))
        return result


def map_grid(visual: TimmModel) -> tuple[int, int] | None:
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
