"""Whether a network comes back as it was given."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from medsam_exp.testing.expectation import expect


@contextmanager
def left_as_it_was(network: nn.Module) -> Iterator[None]:
    """Require that nothing of a network is changed inside the block: modes, hooks, flags, attributes, weights."""
    state, weights = _state(network), copy.deepcopy(network.state_dict())
    yield
    expect(_state(network) == state, "modes, hooks, attributes or gradient flags of the network were changed")
    gradients = any(parameter.grad is not None for parameter in network.parameters())
    expect(not gradients, "gradients are left on the network's parameters")
    equal = all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    expect(equal, "weights of the network were changed")


def _state(network: nn.Module) -> list[Any]:
    parts = [
        (
            part.training,
            [len(hooks) for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)],
            getattr(part, "fused_attn", None),
            sorted(vars(part)),
        )
        for part in network.modules()
    ]
    return [*parts, [parameter.requires_grad for parameter in network.parameters()]]
