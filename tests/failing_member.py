"""One of two processes fails amid a shared computation: `python -m tests.failing_member`."""

import time

import torch
import torch.distributed as dist

from medsam_exp.runtime import distributed
from medsam_exp.types import UserError


def work() -> None:
    """Process 0 fails with a sum under way, as in a backward pass; process 1 is busy with something else."""
    distributed.barrier()
    if distributed.rank() == 0:
        dist.all_reduce(torch.ones(1), async_op=True)
        raise UserError("sample 7 is damaged")
    time.sleep(3600)


if __name__ == "__main__":
    distributed.work_as_member(work)
