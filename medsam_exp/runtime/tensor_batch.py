"""Batches that move to a device, or to page-locked memory, field by field."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TensorBatch:
    """Base of batches: tensors, and lists and tuples of tensors, move; other fields stay as they are."""

    def to(self, device: "torch.device") -> Self:
        """Copy on a device; Lightning asks for it."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Copy in page-locked memory, from where it reaches a GPU faster; a DataLoader asks for it."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, function: Callable[[Any], Any]) -> Self:
        return replace(
            self, **{field.name: _apply(function, getattr(self, field.name)) for field in fields(self)}
        )


def _apply(function: Callable[[Any], Any], value: Any) -> Any:
    if hasattr(value, "pin_memory"):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)(_apply(function, part) for part in value)
    return value
