"""What every saliency method promises, on every kind of vision tower; new files in conf/saliency are tested too."""

from collections.abc import Callable
from functools import cache

import pytest
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from medsam_exp.config.build import build
from medsam_exp.saliency.method import SaliencyMethod
from medsam_exp.testing.saliency import TOWERS, check_saliency, small_clip
from tests.compose import choices, composed

FASTER = {"channels": 6, "masks": 40, "noise_samples": 2, "steps": 3, "beta": 0.01, "layer": 0}
"""Numbers that small networks have, where a method takes them; few, so that the tests run in seconds."""


def blurred() -> Callable[[Tensor, tuple[int, int]], Tensor]:
    """In place of a network that tells like from unlike patches: how their mean colours differ from gray."""
    return lambda pixels, grid: adaptive_avg_pool2d(pixels, grid).permute(0, 2, 3, 1) - 0.5


@cache
def method_of(choice: str) -> SaliencyMethod:
    return build(faster(composed(f"saliency={choice}").saliency))


def faster(node: DictConfig) -> DictConfig:
    node = node.copy()
    if "proxy" in node:
        node.proxy = {"_target_": f"{__name__}.blurred"}
    node.update({name: value for name, value in FASTER.items() if node.get(name) is not None})
    if "inner" in node:
        node.inner = faster(node.inner)
    return node


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("choice", choices("saliency"))
def test_contract(choice: str, tower: str) -> None:
    check_saliency(method_of(choice), {tower: small_clip(tower)})
