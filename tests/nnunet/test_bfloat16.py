"""nnU-Net's network in bfloat16: its own numbers but for rounding, weights of any member, one image at a time."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from medsam_exp.nnunet import bfloat16
from medsam_exp.nnunet.bfloat16 import compute_in_bfloat16
from tests.nnunet_toy import Toy

IMAGE = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network(toy: Toy) -> nn.Module:
    network = toy.parts("all").network.eval().requires_grad_(False)
    network.decoder.deep_supervision = False
    return network


def distance(one: Tensor, other: Tensor) -> float:
    """Root mean square of the difference, as a share of the standard deviation."""
    return float((one - other).square().mean().sqrt() / other.std())


def test_logits_are_those_of_float32_but_for_rounding(network: nn.Module) -> None:
    expected = network(IMAGE)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = network(IMAGE)
    compute_in_bfloat16(network)
    found = network(IMAGE)
    assert found.dtype == torch.float32
    assert 0 < distance(found, expected) < 1.2 * distance(autocast, expected) < 0.1


def test_what_replaces_the_norms_changes_nothing(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32: scales and shifts that tell channels apart, and both names of a block's norm."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
            module.bias.copy_(torch.randn(module.bias.shape, generator=generator))
    expected, names = network(IMAGE), list(network.state_dict())
    monkeypatch.setattr(bfloat16.torch, "bfloat16", torch.float32)
    compute_in_bfloat16(network)
    assert not any(isinstance(module, nn.InstanceNorm2d) for module in network.modules())
    assert list(network.state_dict()) == names
    assert torch.allclose(network(IMAGE), expected, atol=1e-4)


def test_another_members_weights_are_rounded_as_they_are_loaded(network: nn.Module, toy: Toy) -> None:
    member = toy.parts("all", seed=1).network.state_dict()
    own = deepcopy(network)
    own.load_state_dict(member)
    for one in (network, own):
        compute_in_bfloat16(one)
    network.load_state_dict(member)
    assert torch.equal(network(IMAGE), own(IMAGE))


def test_it_takes_one_image_at_a_time(network: nn.Module) -> None:
    compute_in_bfloat16(network)
    with pytest.raises(ValueError, match="a batch of 2, but in bfloat16 the network takes one image"):
        network(IMAGE.expand(2, -1, -1, -1))
