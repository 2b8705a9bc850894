"""Each choice's kind of network, but narrow and with random weights: full-size ones are for the slow tier."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.edgetam import build_edgetam
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.sam.sam2 import build_sam2
from medsam_exp.sam.sam3_tracker import build_sam3_tracker
from medsam_exp.sam.sam_hq import build_sam_hq
from medsam_exp.sam.sam_med2d import build_sam_med2d
from medsam_exp.sam.tiny_vit import build_tiny_vit_sam


def small_sam2(side: int = 128) -> nn.Module:
    return build_sam2(width=16, blocks=(1, 1, 2, 1), global_blocks=(3,), side=side, channels=32, mlp_dim=64)


def small_sam_hq() -> nn.Module:
    return build_sam_hq(width=32, depth=3, heads=2, global_blocks=(1, 2), side=128, channels=32, mlp_dim=64)


SMALL_TINY_VIT: dict[str, Any] = {
    "widths": (8, 8, 12, 16),
    "heads": (1, 2, 3, 2),
    "windows": (7, 3, 4, 8),
    "channels": 32,
    "num_heads": 2,
    "mlp_dim": 64,
}


SMALL: dict[str, Callable[[], Any]] = {
    "sam_med2d": lambda: build_sam_med2d(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,)),
    **dict.fromkeys(("sam2_tiny", "sam2_small", "sam2_base_plus", "sam2_large", "medsam2"), small_sam2),
    **dict.fromkeys(("sam_hq_b", "sam_hq_l", "sam_hq_h"), small_sam_hq),
    "sam3_tracker": lambda: build_sam3_tracker(
        width=32,
        hidden=64,
        depth=3,
        heads=2,
        global_blocks=(1, 2),
        window=4,
        side=112,
        pretrained_side=56,
        channels=32,
        mlp_dim=64,
    ),
    "edgetam": lambda: build_edgetam(side=128, channels=32, mlp_dim=64),
    "mobile_sam": lambda: build_tiny_vit_sam(128, **SMALL_TINY_VIT),
    "lite_medsam": lambda: build_tiny_vit_sam(32, stem=1, **SMALL_TINY_VIT),
}


def small_network(architecture: str) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SMALL.get(architecture, build_tiny_sam)()
        if hasattr(network, "config"):
            stir(network)
    return network.eval()


def small_model(architecture: str) -> PromptableModel:
    return FAMILIES[architecture].make(small_network(architecture)).eval()


def stir(network: nn.Module) -> None:
    """Give each weight of a network of transformers, biases and norms too, a value of its own."""
    for name, parameter in network.named_parameters():
        spread = 0.02 if "timm_model" in name else 0.1  # in many layers without norms numbers grow
        parameter.data.add_(torch.randn_like(parameter), alpha=spread)
