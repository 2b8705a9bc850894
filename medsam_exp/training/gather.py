"""Gather and sum tensors over devices."""

from typing import Any

import torch
from torch import Tensor, distributed


def gather_rows(rows: Tensor) -> Tensor:
    """Gather rows (B, ...) of all devices into one tensor, in order of rank, with gradients."""
    if (
        not distributed.is_available()
        or not distributed.is_initialized()
        or distributed.get_world_size() == 1
    ):
        return rows
    result: Tensor = _GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return result


def all_reduce_sum(values: Tensor) -> Tensor:
    """Sum of every device's values, without gradient."""
    if not distributed.is_available() or not distributed.is_initialized():
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total


class _GatherRows(torch.autograd.Function):
    """Gathers forwards and sums the gradient over the devices backwards.

    Each device computes the same loss of all rows, so the sum is too large by their number; DDP's mean over
    them then leaves exactly the gradient of one device with all rows.
    """

    @staticmethod
    def forward(_: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient.chunk(distributed.get_world_size())[distributed.get_rank()]
