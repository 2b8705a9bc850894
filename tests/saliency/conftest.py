"""Small CLIP models with random weights, of the kinds of tower that saliency methods can split."""

from collections.abc import Callable
from typing import Any

import open_clip
import pytest
import torch

from medsam_exp.clip.model import ClipModel

TOWERS: dict[str, dict[str, Any]] = {
    "open_clip": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 4},
    "timm": {"timm_model_name": "test_vit", "timm_pool": "", "image_size": 64},
    "maximum": {"timm_model_name": "test_vit2", "timm_pool": "max", "image_size": 64},
    "attention_pool": {"timm_model_name": "test_vit3", "timm_pool": "", "image_size": 160},
    "resnet": {"image_size": 128, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
}
TOWERS["average"] = TOWERS["open_clip"] | {"pool_type": "avg"}


@pytest.fixture
def make_tiny() -> Callable[[str], ClipModel]:
    """`(kind of tower) -> ClipModel` with weights large enough that images and texts matter."""

    def make(kind: str) -> ClipModel:
        text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
        model_cfg = {"embed_dim": 24, "vision_cfg": TOWERS[kind], "text_cfg": text}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            network = open_clip.CLIP(**model_cfg).eval()
            for parameter in network.visual.parameters():
                parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        tokenizer = open_clip.SimpleTokenizer(context_length=16)
        return ClipModel(
            network, tokenizer, model_cfg, mean=[0.5] * 3, std=[0.25] * 3, saliency_layer=2
        ).eval()

    return make
