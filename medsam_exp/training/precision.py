"""The precisions of the Trainer, as frozen encoders compute in them.

True ones (bf16-true, 16-true, 64-true) are of the networks, and of nothing around them. Lightning would convert
everything: boxes, clicks and noise too, and every number that a method makes by itself. Here the encoders alone compute
in the precision, while geometry, noise, losses, similarities and SAM's decoder stay in float32.

Mixed ones (bf16-mixed, 16-mixed) are Lightning's: autocast, which converts the frozen weights of each product anew each
time. Here they are converted once; the numbers are the same.

"tf32" lets a GPU round what enters float32 products and convolutions to 10 bits of mantissa (TensorFloat-32,
https://docs.pytorch.org/docs/stable/notes/cuda.html); in every other precision it may not, torch's default for
convolutions notwithstanding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from open_clip.transformer import TextTransformer, Transformer
from torch import nn

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.native_bf16 import TF32
from medsam_exp.sam.promptable import PromptableModel

_TRUE = {
    "bf16-true": torch.bfloat16,
    "16-true": torch.float16,
    "64-true": torch.float64,
    "64": torch.float64,
}
_MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
_PRODUCTS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""Modules whose parameters autocast converts; torch's own attention has a kernel that autocast does not reach."""
_KEPT = ("logit_scale", "logit_bias")
"""Parameters that are read as numbers, outside of the network."""


def network_dtype(precision: object) -> torch.dtype | None:
    """What the encoders compute in under a Trainer's precision; None where Lightning sees to it."""
    return _TRUE.get(str(precision))


def of_encoders_alone(precision: object) -> bool:
    """Whether a precision is kept from Lightning, for which the rest is in float32."""
    return precision == TF32 or network_dtype(precision) is not None


def precision_problems(precision: object, stages: Sequence[str]) -> list[str]:
    """Why stages that train cannot work in a precision.

    Args:
        precision: of the Trainer.
        stages: those of a run that train.
    """
    if not of_encoders_alone(precision) or not stages:
        return []
    return [
        f"trainer.precision={precision} is for CLIP and SAM as they are, but {' and '.join(stages)} would lose small "
        "steps of the weights in it, or do without it; set trainer.precision=32-true, bf16-mixed or 16-mixed"
    ]


@contextmanager
def encoders_in(module: nn.Module, precision: str) -> Iterator[None]:
    """Let a module's encoders compute in a precision; afterwards their weights are what they were, bit for bit."""
    with _tensor_float_32(precision == TF32), _weights_in(module, precision):
        yield


@contextmanager
def _tensor_float_32(wanted: bool) -> Iterator[None]:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if wanted else "highest")
    torch.backends.cudnn.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@contextmanager
def _weights_in(module: nn.Module, precision: str) -> Iterator[None]:
    if (dtype := _MIXED.get(precision)) is not None:
        with _products_in(module, dtype):
            yield
        return
    dtype = network_dtype(precision)
    parts = [] if dtype is None else encoders(module)
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


@contextmanager
def _products_in(module: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Keep in `dtype` what autocast would convert to it; an open_clip text tower would take it for its whole stream."""
    towers = [
        part
        for tower in encoders(module)
        for part in (tower.children() if hasattr(tower, "visual") else (tower,))
        if not isinstance(part, TextTransformer | Transformer)
    ]
    parameters = [
        (parameter, parameter.data)
        for tower in towers
        for part in tower.modules()
        if isinstance(part, _PRODUCTS)
        for parameter in part.parameters(recurse=False)
    ]
    for parameter, values in parameters:
        parameter.data = values.to(dtype)
    try:
        yield
    finally:
        for parameter, values in parameters:
            parameter.data = values


def encoders(module: nn.Module) -> list[nn.Module]:
    """The networks of the CLIP models and the image encoders of the promptable segmenters that a module holds."""
    return [
        part.network if isinstance(part, ClipModel) else part.encoder
        for part in module.modules()
        if isinstance(part, ClipModel | PromptableModel)
    ]
