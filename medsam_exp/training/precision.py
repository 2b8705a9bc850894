"""The true precisions of the Trainer (bf16-true, 16-true, 64-true): of the networks, and of nothing around them.

Lightning would convert everything: boxes, clicks and noise too, and every number that a method makes by itself. Here
the encoders alone compute in the precision, while geometry, noise, losses, similarities and SAM's decoder stay in
float32.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from medsam_exp.clip.model import ClipModel
from medsam_exp.sam.model import SamModel

_TRUE = {
    "bf16-true": torch.bfloat16,
    "16-true": torch.float16,
    "64-true": torch.float64,
    "64": torch.float64,
}
_KEPT = ("logit_scale", "logit_bias")
"""Parameters that are read as numbers, outside of the network."""


def network_dtype(precision: object) -> torch.dtype | None:
    """What the encoders compute in under a Trainer's precision; None where Lightning sees to it."""
    return _TRUE.get(str(precision))


def precision_problems(precision: object, stages: Sequence[str]) -> list[str]:
    """Why stages that train, or whose network nnU-Net runs, cannot work in a precision.

    Args:
        precision: of the Trainer.
        stages: those of a run that train or run nnU-Net.
    """
    if network_dtype(precision) is None or not stages:
        return []
    return [
        f"trainer.precision={precision} is for CLIP and SAM as they are, but {' and '.join(stages)} would lose small "
        "steps of the weights in it, or let nnU-Net choose for itself; set trainer.precision=32-true, bf16-mixed or "
        "16-mixed"
    ]


@contextmanager
def encoders_in(module: nn.Module, dtype: torch.dtype | None) -> Iterator[None]:
    """Let a module's encoders compute in `dtype`; afterwards their weights are what they were, bit for bit."""
    parts = [] if dtype is None else [part for one in module.modules() for part in _encoders(one)]
    parameters = [
        (parameter, parameter.data)
        for part in parts
        for name, parameter in part.named_parameters()
        if name not in _KEPT and parameter.is_floating_point()
    ]
    # By owner and name: moving a module to a device replaces its buffers.
    buffers = [
        (owner, name, values)
        for part in parts
        for owner in part.modules()
        for name, values in owner.named_buffers(recurse=False)
        if values.is_floating_point()
    ]
    for parameter, values in parameters:
        parameter.data = values.to(dtype)
    for owner, name, values in buffers:
        setattr(owner, name, values.to(dtype))
    try:
        yield
    finally:
        for parameter, values in parameters:
            parameter.data = values
        for owner, name, values in buffers:
            setattr(owner, name, values)


def _encoders(module: Any) -> list[nn.Module]:
    if isinstance(module, ClipModel):
        return [module.network]
    return [module.image_encoder] if isinstance(module, SamModel) else []
