"""Predictions by compiled encoders, for GPUs: `torch.compile` a block at a time, channels last in convolutions."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from medsam_exp.training.precision import encoders

_LISTS = (nn.ModuleList, nn.Sequential)
_RECOMPILED = 64
"""Versions that a block's code may get: by precision, with and without gradients, of windows and of whole images."""


class CompilingTrainer(pl.Trainer):
    """Lightning's Trainer that compiles the encoders of what it predicts with; trainings are Lightning's own.

    Takes what `pytorch_lightning.Trainer` takes. Its name is part of the keys of what it predicts, as rounding differs
    from that of networks that are not compiled.
    """

    def predict(self, model: Any = None, *arguments: Any, **options: Any) -> Any:
        """As Lightning's; the encoders are what they were when it returns."""
        with compiled_encoders(model):
            return super().predict(model, *arguments, **options)


@contextmanager
def compiled_encoders(module: nn.Module, backend: str = "inductor") -> Iterator[None]:
    """Compile the repeated blocks of a module's encoders, whose weights do not change meanwhile.

    Blocks of the same shape share their code, so that compiling takes as long for one as for all; what methods do
    between blocks goes on as it is (https://docs.pytorch.org/tutorials/recipes/regional_compilation.html).
    Convolutions keep their weights in the layout that a GPU's tensor cores read.

    Args:
        module: holds CLIP networks or segmenters.
        backend: of `torch.compile`.
    """
    parts = encoders(module)
    compiled = [block for part in parts for block in repeated_blocks(part)]
    with ExitStack() as undo, torch._dynamo.config.patch(recompile_limit=_RECOMPILED):
        for part in parts:
            _lay_out(part, torch.channels_last)
            undo.callback(_lay_out, part, torch.contiguous_format)
        for block in compiled:
            block.compile(dynamic=False, backend=backend)
            undo.callback(setattr, block, "_compiled_call_impl", None)
        yield


def _lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    network.to(memory_format=layout)  # type: ignore[call-overload]


def repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """Members of the lists of a network that hold several modules of one class with parameters, none within another."""
    found: list[nn.Module] = []
    if isinstance(network, _LISTS) and len(network) > 1 and len(set(map(type, network))) == 1:
        found = [block for block in network if any(True for _ in block.parameters())]
    return found or [block for child in network.children() for block in repeated_blocks(child)]
