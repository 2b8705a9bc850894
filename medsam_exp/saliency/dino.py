"""Patch features of DINOv2 and DINOv3 (Oquab 2023, Siméoni 2025), which know no text, by transformers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medsam_exp.runtime.checkpoint.transformers_folder import load_whole
from medsam_exp.types import UserError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, as both networks were trained."""
_KINDS = ("dinov2", "dinov2_with_registers", "dinov3_vit")
_SUFFIXES = {".json", ".safetensors", ".bin"}
_ONLY_IN_TRAINING = "mask_token"
"""Stands for hidden patches."""


class Dino:
    """A DINO in a local folder; it is loaded when it is first asked.

    Args:
        model: the folder, as on the Hugging Face hub (`facebook/dinov2-base`).
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._loaded: Any = None

    @staticmethod
    def weight_files(model: str) -> list[Path]:
        """Local files that decide the features.

        Raises:
            UserError: there is no such folder.
        """
        folder = Path(model).expanduser()
        if not (folder / "config.json").is_file():
            raise UserError(
                f"{_named(model)} is no folder with a config.json; put a DINOv2 or DINOv3 of the hub there, such as "
                "facebook/dinov2-base, or let that key point at one."
            )
        return sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)

    def __call__(self, pixels: Tensor, grid: tuple[int, int]) -> Tensor:
        """Features (B, gh, gw, C) float32 of images (B, 3, h, w) in [0, 1].

        Images are brought to one patch for each cell of the grid (gh, gw), bilinearly.

        Raises:
            UserError: there is no such network.
        """
        if self._loaded is None:
            self._loaded = _load(self._model)
        network = self._loaded.to(pixels.device)
        side = network.config.patch_size
        mean, std = (torch.tensor(each, device=pixels.device)[:, None, None] for each in (_MEAN, _STD))
        size = tuple(count * side for count in grid)
        seen = interpolate(pixels.float(), size, mode="bilinear", antialias=True)
        with torch.no_grad():
            tokens = network((seen - mean) / std).last_hidden_state
        patches: Tensor = tokens[:, -grid[0] * grid[1] :].float().unflatten(1, grid)
        return patches


def _named(model: str) -> str:
    """The setting by both of its keys, as a method does not know whether it stands within another."""
    return f"the proxy's model={model} (saliency.proxy.model, or saliency.inner.proxy.model within another method)"


def _load(model: str) -> Any:
    """The network, float32, in evaluation mode.

    Raises:
        UserError: another network is described, or its weights are not there whole.
    """
    from transformers import AutoModel  # slow to import

    Dino.weight_files(model)
    path, named = Path(model).expanduser(), _named(model)
    network = load_whole(AutoModel, path, named, unused=_ONLY_IN_TRAINING)
    if (kind := network.config.model_type) not in _KINDS:
        raise UserError(f"{named} is a {kind}; choose one of {', '.join(_KINDS)}.")
    return network.requires_grad_(False)
