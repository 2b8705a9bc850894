"""Gradients of one step of several processes that share a batch: `python -m tests.nnunet_step ROOT PLANS BATCH OUT`."""

import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from medsam_exp.runtime import distributed
from tests.nnunet_toy import Toy


def main(root: str, plans: str, batch: str, out: str) -> None:
    parts = Toy(Path(root), Path(plans), ()).parts()
    image, *target = torch.load(batch, weights_only=True)
    share = len(image) // distributed.world_size()
    own = slice(distributed.rank() * share, (distributed.rank() + 1) * share)
    network = DistributedDataParallel(parts.network)
    loss = parts.loss(network(image[own]), [labels[own] for labels in target])
    loss.backward()
    losses = distributed.to_rank_zero(float(loss))
    if distributed.rank() == 0:
        found = {name: value.grad for name, value in parts.network.named_parameters()}
        torch.save({"losses": losses, "gradients": found, "batch": parts._trainer.batch_size}, out)


if __name__ == "__main__":
    distributed.work_as_member(lambda: main(*sys.argv[1:]))
