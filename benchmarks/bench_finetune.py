"""Steps of fine-tuning BiomedCLIP against a plain loop with open_clip's loss: `python -m benchmarks.bench_finetune`."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import pytorch_lightning as pl
import torch
from open_clip.loss import ClipLoss
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from medsam_exp.cli.benchmark.m2ib import biomedclip_with_random_weights
from medsam_exp.clip.loss.infonce import InfoNCE
from medsam_exp.training.clip_finetune import ClipFinetuneModule
from medsam_exp.training.schedules import step_decay
from medsam_exp.types import PairBatch

BATCH, CHUNK, STEPS, LENGTH = 8, 2, 3, 64
"""STEPS are timed after one that pays for memory; LENGTH is that of the texts, in tokens."""
WAYS: dict[str, tuple[str, int | None]] = {
    "plain loop, open_clip's loss": ("plain", None),
    "ours, under Lightning": ("ours", None),
    f"ours, gradient caching in chunks of {CHUNK}": ("ours", CHUNK),
}


def main() -> None:
    """Print seconds a step, throughput as a ratio, and memory beyond the loaded network; each way in a process."""
    table = Table(
        f"BiomedCLIP's size, batch {BATCH}, float32",
        "seconds a step",
        "throughput",
        "memory of the step, GiB",
    )
    measured: dict[str, dict[str, float]] = {name: json.loads(_in_process(name)) for name in WAYS}
    first = next(iter(measured.values()))
    for name, found in measured.items():
        ratio = first["seconds"] / found["seconds"]
        table.add_row(name, f"{found['seconds']:.2f}", f"{ratio:.2f} x", f"{found['memory']:.2f}")
    Console(width=110).print(table, f"{torch.get_num_threads()} threads; mean of {STEPS} steps.")


def _in_process(name: str) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_finetune", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.splitlines()[-1]


def measure(name: str) -> None:
    """One way, in this process; prints seconds a step and GiB of memory beyond what the network needs."""
    kind, chunk_size = WAYS[name]
    clip = biomedclip_with_random_weights().requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 3, 224, 224, generator=generator)
    tokens = torch.randint(1000, 28000, (BATCH, LENGTH), generator=generator)
    before = _peak()
    moments: list[float] = []
    if kind == "plain":
        plain_loop(clip, images, tokens, moments)
    else:
        under_lightning(clip, images, tokens, moments, chunk_size)
    seconds = (moments[-1] - moments[0]) / STEPS
    print(json.dumps({"seconds": seconds, "memory": _peak() - before}))


def plain_loop(clip: Any, images: torch.Tensor, tokens: torch.Tensor, moments: list[float]) -> None:
    """What open_clip's training script does in a step, without data loading and logging."""
    network = clip.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)
    loss = ClipLoss()
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        image, text, scale = network(images, tokens)[:3]
        loss(image, text, scale).backward()
        optimizer.step()
        moments.append(time.perf_counter())


class Moments(pl.Callback):
    """Notes when each step ends."""

    def __init__(self, moments: list[float]) -> None:
        self._moments = moments

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the moment."""
        self._moments.append(time.perf_counter())


class SameBatch(pl.LightningDataModule):
    """One batch again and again."""

    def __init__(self, batch: PairBatch) -> None:
        super().__init__()
        self._batch = batch
        self.batches_per_epoch = STEPS + 1

    def train_dataloader(self) -> DataLoader[Any]:
        """The batch, STEPS + 1 times."""
        return DataLoader([self._batch] * self.batches_per_epoch, batch_size=None)  # type: ignore[arg-type]

    def transfer_batch_to_device(self, batch: PairBatch, device: torch.device, _: int) -> PairBatch:
        """Leave the batch where it is."""
        del device
        return batch


def under_lightning(
    clip: Any, images: torch.Tensor, tokens: torch.Tensor, moments: list[float], chunk_size: int | None
) -> None:
    """The module and Trainer of the stage finetune_clip."""
    module = ClipFinetuneModule(
        clip,
        InfoNCE(0.07),
        lambda groups: torch.optim.AdamW(groups, lr=1e-6),
        lambda optimizer, total_steps: step_decay(optimizer, total_steps, 0.5, 3),
        seed=0,
        chunk_size=chunk_size,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            callbacks=[Moments(moments)],
        )
        trainer.fit(module, SameBatch(PairBatch(images, tokens)))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
