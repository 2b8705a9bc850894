"""Steps of our nnU-Net training against nnU-Net's own trainer: `python -m benchmarks.bench_nnunet_step`.

Both train from the same weights on the same batches, drawn within the measured time by nnU-Net's own loader and
augmentation in this process. The runs alternate. Time of the processor stands beside the wall clock, which on a busy
machine measures the neighbours.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from rich.console import Console
from rich.table import Table

from benchmarks.nnunet_phantoms import planned, settings
from medsam_exp.cli.benchmark.rows import Row
from medsam_exp.nnunet.environment import nnunet_folders
from medsam_exp.nnunet.nnunet_loss.dice_ce import DiceCE
from medsam_exp.nnunet.settings import NnunetSettings
from medsam_exp.nnunet.training import TrainingParts
from medsam_exp.runtime.seeding import derive_seed, numpy_generator
from medsam_exp.training.callbacks import LearningRate, Throughput
from medsam_exp.training.nnunet_data import NnunetDataModule, seeded
from medsam_exp.training.nnunet_training import NnunetModule

WARM_UP = 3
"""Steps before the clock starts."""


class Clock:
    """Seconds per step: (wall, processor); the first steps do not count."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []

    def start(self) -> None:
        """Begin a step."""
        self._started = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """End a step."""
        now = time.perf_counter(), time.process_time()
        self.steps.append((now[0] - self._started[0], now[1] - self._started[1]))

    def mean(self) -> tuple[float, float]:
        """Mean seconds of a step after the first ones."""
        counted = self.steps[WARM_UP:]
        return tuple(statistics.mean(part) for part in zip(*counted, strict=True))


class Moments(pl.Callback):
    """A step lasts from the end of the one before to its own end, whatever Lightning does meanwhile."""

    def __init__(self, clock: Clock, losses: list[float]) -> None:
        self._clock, self._losses = clock, losses

    def on_train_start(self, *_: Any) -> None:
        """Begin."""
        self._clock.start()

    def on_train_batch_end(self, _: pl.Trainer, __: pl.LightningModule, outputs: Any, *___: Any) -> None:
        """End a step and begin the next."""
        self._clock.stop()
        self._losses.append(float(outputs["loss"]))
        self._clock.start()


def nnunets_own(parts: TrainingParts, steps: int) -> tuple[Clock, list[float]]:
    """The loop of nnUNetTrainer.run_training over one epoch; seeding, which it does not do, is not timed."""
    trainer, clock, losses = parts._trainer, Clock(), []
    source = parts.batches()["train"]
    from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter

    batches = SingleThreadedAugmenter(source, None)
    trainer.network.train()
    for number in numpy_generator(0, "order", 0).permutation(steps).tolist():
        with seeded(derive_seed(0, "nnunet", "train", 0, number, 0)):
            clock.start()
            batch = next(batches)
            losses.append(trainer.train_step(batch)["loss"])
            clock.stop()
    return clock, [float(loss) for loss in losses]


def under_lightning(parts: TrainingParts, steps: int, folder: Path) -> tuple[Clock, list[float]]:
    """The module, data and callbacks of the stage train_nnunet; figures are recorded at a long training's interval."""
    clock, losses = Clock(), []  # type: ignore[var-annotated]
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=CSVLogger(str(folder)),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=12,
        limit_val_batches=0,
        callbacks=[LearningRate(), Throughput(), Moments(clock, losses)],
    )
    data = NnunetDataModule(parts.batches(), steps, 1, seed=0, workers=0)
    trainer.fit(NnunetModule(parts, lambda _: 0.01), data)
    return clock, losses


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--steps", type=int, default=20, help="of each run, after 3 to warm up")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--patch", type=int, default=128)
    options.add_argument("--batch", type=int, default=4)
    options.add_argument("--features", type=int, default=32, help="of the first stage; nnU-Net plans 32")
    given = options.parse_args()
    chosen = _settings(given.patch, given.batch, given.features)
    with tempfile.TemporaryDirectory() as folder:
        seconds, apart = _compare(Path(folder), chosen, given.steps + WARM_UP, given.runs)
    _show(seconds, apart, given.steps)


def rows() -> Iterator[Row]:
    """A step of training by both, in processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, apart = _compare(Path(folder), _settings(patch=96, batch=4, features=16), 6 + WARM_UP, 3)
    own, ours = (statistics.median(processor for _, processor in runs) for runs in seconds.values())
    note = f"losses differ by {apart:.0e} at most"
    yield Row("nnU-Net training step, 4 patches of 96x96, 16 features", "s", own, ours, note=note)


def _settings(patch: int, batch: int, features: int) -> NnunetSettings:
    return settings(
        batch_size=batch, patch_size=[patch] * 2, base_features=features, max_features=256, folds=["all"]
    )


def _compare(
    root: Path, chosen: NnunetSettings, steps: int, runs: int
) -> tuple[dict[str, list[tuple[float, float]]], float]:
    """Seconds of a step, (wall, processor) of each run by whose trainer it was, and how far losses are apart."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    plans = planned(root, chosen, 20)
    seconds: dict[str, list[tuple[float, float]]] = {"nnU-Net's own trainer": [], "ours, under Lightning": []}
    apart = 0.0
    for run in range(runs):
        curves = []
        for name in sorted(seconds, reverse=run % 2 == 1):
            log_file = root / "nnunet.log"
            parts = TrainingParts(root, plans, "all", chosen, DiceCE(), 0, log_file)
            with nnunet_folders(root, log_file=log_file):
                own = name.startswith("nnU-Net")
                clock, losses = nnunets_own(parts, steps) if own else under_lightning(parts, steps, root)
            seconds[name].append(clock.mean())
            curves.append(losses)
        apart = max(apart, max(abs(one - two) for one, two in zip(*curves, strict=True)))
    return seconds, apart


def _show(seconds: dict[str, list[tuple[float, float]]], apart: float, steps: int) -> None:
    table = Table("seconds a step", "wall, median", "wall, range", "processor, median", "processor, range")
    for name, runs in seconds.items():
        cells = []
        for values in zip(*runs, strict=True):
            cells += [f"{statistics.median(values):.4f}", f"{min(values):.4f} to {max(values):.4f}"]
        table.add_row(name, *cells)
    first, second = seconds.values()
    ratios = [[ours[kind] / own[kind] for own, ours in zip(first, second, strict=True)] for kind in (0, 1)]
    said = [
        f"{what} {statistics.median(values):.3f} (range {min(values):.3f} to {max(values):.3f})"
        for what, values in zip(("wall", "processor"), ratios, strict=True)
    ]
    lines = (
        f"ours / its own, median of {len(first)} alternating pairs of {steps} steps: {', '.join(said)}",
        f"largest difference of two losses at the same step: {apart:.2e}; one thread of {os.cpu_count()} cores.",
    )
    Console(width=120).print(table, *lines, sep="\n")


if __name__ == "__main__":
    main()
