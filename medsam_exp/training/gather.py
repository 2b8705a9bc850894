"""Gather and sum tensors over devices."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from medsam_exp.runtime import distributed


def gather_rows(rows: Tensor) -> Tensor:
    """Gather rows (B, ...) of all devices into one tensor, in order of rank, with gradients."""
    if distributed.world_size() == 1:
        return rows
    result: Tensor = _GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return result


def all_reduce_sum(values: Tensor) -> Tensor:
    """Sum of every device's values, without gradient."""
    if distributed.world_size() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total


class _GatherRows(torch.autograd.Function):
    """Gathers forwards and sums the gradient over the devices backwards.

    Each device computes the same loss of all rows, so the sum is too large by their number; DDP's mean over
    them then leaves exactly the gradient of one device with all rows. (torch.distributed.nn.functional.all_gather, on
    which Lightning's is built, does the same, but is deprecated.)
    """

    @staticmethod
    def forward(_: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(distributed.world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.chunk(distributed.world_size())[distributed.rank()]
