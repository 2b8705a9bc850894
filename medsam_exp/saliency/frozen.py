"""A network that a saliency method may run but not change."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, parameters without gradient; afterwards all is as it was, also after an error."""
    training = [part for part in module.modules() if part.training]
    wanting = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        module.eval()
        for parameter in wanting:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)
        for part in training:
            part.training = True
