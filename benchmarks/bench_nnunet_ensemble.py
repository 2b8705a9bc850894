"""Ensembles of nnU-Net checkpoints against its predictor for each: `python -m benchmarks.bench_nnunet_ensemble`.

Every way is a process of its own that starts, predicts all images and ends; time and memory are those that the
operating system counted. Members have random weights. The command line of nnU-Net is run for the first few members only
(--cli), and its time multiplied.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from medsam_exp.cli.benchmark.rows import Row
from medsam_exp.nnunet.environment import PREPROCESSED, RAW, RESULTS
from medsam_exp.nnunet.nnunet_loss.dice_ce import DiceCE

_PATTERN = "checkpoint_epoch_*.pth"


@dataclass(frozen=True)
class Cost:
    """What a process cost: seconds by the wall clock, seconds of the processor, GiB of memory at most."""

    wall: float
    processor: float
    memory: float

    def times(self, factor: float) -> "Cost":
        """So many of them one after the other."""
        return Cost(self.wall * factor, self.processor * factor, self.memory)


def spend(command: list[str], root: Path) -> Cost:
    """Run a command to its end; nnU-Net's folders are below `root`."""
    started = time.perf_counter()
    folders = {name: str(root / name) for name in (RAW, PREPROCESSED, RESULTS)}
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | folders
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    seconds = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - started, seconds, usage.ru_maxrss / 2**20)


def make(root: Path, members: int, images: int, patch: int, features: int) -> None:
    """Make a results folder with random members, and images.

    It runs in a process of its own, because a child's peak memory starts from its parent's.
    """
    import torch

    from benchmarks.nnunet_phantoms import planned, scans, settings
    from medsam_exp.nnunet.training import TrainingParts
    from medsam_exp.training.nnunet_snapshots import snapshot_name, write_checkpoint

    chosen = settings(
        batch_size=4, patch_size=[patch] * 2, base_features=features, max_features=256, folds=["all"]
    )
    plans = planned(root, chosen, max(5, images))
    for number in range(members):
        parts = TrainingParts(root, plans, "all", chosen, DiceCE(), number, root / "nnunet.log")
        with torch.no_grad():
            parts.network.decoder.seg_layers[-1].weight *= 8  # type: ignore[union-attr,index]
        parts.write_results_folder()
        write_checkpoint(parts.checkpoint(number, None), parts.results / snapshot_name(number))
    (root / "images").mkdir()
    for number, case in enumerate(scans(images)):
        Image.fromarray(case.image[..., 0]).save(root / "images" / f"scan{number:02d}_0000.png")


def ours(folder: Path, images: Path, out: Path, precision: str = "32-true") -> None:
    """What the stage nnunet_ensemble does under `ensemble.precision`."""
    import pytorch_lightning as pl

    from medsam_exp.nnunet.inference import Predictor, PreparedImage
    from medsam_exp.nnunet.results import results_folder
    from medsam_exp.training.nnunet_inference import EnsembleAnswer, ensemble_answers
    from medsam_exp.training.prediction import PredictModule, batch_loader

    def read(names: Sequence[str]) -> list[tuple[str, PreparedImage]]:
        images_by_name = {name: np.asarray(Image.open(images / name).convert("RGB")) for name in names}
        return [(name, predictor.prepare(image)) for name, image in images_by_name.items()]

    def save(name: str, answer: EnsembleAnswer) -> None:
        np.save(out / f"{name.removesuffix('_0000.png')}.npy", answer.probabilities[1])

    predictor = Predictor(results_folder(folder, _PATTERN), precision=precision)
    names = sorted(path.name for path in images.glob("*.png"))
    loader = batch_loader(names, read, batch_size=16, threads=0)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    module = PredictModule(predictor.network, partial(ensemble_answers, predictor), save)
    module.requires_grad_(False)
    trainer.predict(module, loader, return_predictions=False)


def stock(folder: Path, images: Path, out: Path) -> None:
    """nnU-Net's predictor for each member in one process, without processes of its own."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    for member in sorted(folder.glob(f"fold_all/{_PATTERN}")):
        target = out / member.stem
        target.mkdir()
        with redirect_stdout(StringIO()):
            predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(folder), ("all",), member.name)
            predictor.predict_from_files_sequential(str(images), str(target), save_probabilities=True)


def command_line(folder: Path, images: Path, out: Path, member: str) -> list[str]:
    """nnU-Net's own program for one member, at its fastest on a CPU: no processes of its own."""
    program = str(Path(sys.executable).with_name("nnUNetv2_predict"))
    places = [
        "-i",
        str(images),
        "-o",
        str(out),
        "-d",
        folder.parent.name,
        "-c",
        "2d",
        "-f",
        "all",
        "-chk",
        member,
    ]
    return [program, *places, "-device", "cpu", "-npp", "0", "-nps", "0", "--save_probabilities"]


_WAYS: dict[str, Callable[..., None]] = {
    "stock": stock,
    "ours": ours,
    "bf16": partial(ours, precision="bf16-mixed"),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--members", type=int, default=30)
    options.add_argument("--images", type=int, default=4)
    options.add_argument("--patch", type=int, default=96)
    options.add_argument("--features", type=int, default=8)
    options.add_argument("--cli", type=int, default=2, help="members that nnU-Net's command line predicts")
    options.add_argument("--way", choices=["make", *_WAYS], help=argparse.SUPPRESS)
    options.add_argument("places", type=Path, nargs="*", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.way == "make":
        make(given.places[0], given.members, given.images, given.patch, given.features)
        return
    if given.way:
        _WAYS[given.way](*given.places)
        return
    with tempfile.TemporaryDirectory() as folder:
        costs, apart = _compare(Path(folder), given)
    _show(costs, given, apart)


def rows() -> Iterator[Row]:
    """Stock nnU-Net's predictor for each member against ours, in one process each, in processor seconds."""
    given = argparse.Namespace(members=30, images=2, patch=128, features=16, cli=0)
    with tempfile.TemporaryDirectory() as folder:
        costs, apart = _compare(Path(folder), given)
    for way, precision in (("ours", "float32"), ("bf16", "bf16-mixed")):
        yield Row(
            f"nnU-Net ensemble, {given.members} members, {given.images} images, {precision}, with start",
            "s",
            costs["stock"].processor,
            costs[way].processor,
            note=apart[way],
        )


def _compare(root: Path, given: Any) -> tuple[dict[str, Cost], dict[str, str]]:
    itself = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_nnunet_ensemble"]
    numbers = [f"--{name}={getattr(given, name)}" for name in ("members", "images", "patch", "features")]
    spend([*itself, *numbers, str(root), "--way", "make"], root)
    (folder,) = (root / RESULTS).glob("*/*")
    costs = {}
    for way in _WAYS:
        (root / way).mkdir()
        places = [str(path) for path in (folder, root / "images", root / way)]
        costs[way] = spend([*itself, *places, "--way", way], root)
    for number in range(given.cli):
        out, member = root / "cli" / str(number), f"checkpoint_epoch_{number:04d}.pth"
        cost = spend(command_line(folder, root / "images", out, member), root)
        costs["cli"] = cost if number == 0 or cost.wall < costs["cli"].wall else costs["cli"]
    return costs, {way: _difference(root, way) for way in ("ours", "bf16")}


def _difference(root: Path, way: str) -> str:
    """How far mean probabilities and masks are from those of stock nnU-Net's members."""
    apart, pixels, all_pixels = 0.0, 0, 0
    for file in sorted((root / way).glob("*.npy")):
        members = sorted((root / "stock").glob(f"*/{file.stem}.npz"))
        mean = np.mean(
            [np.load(member)["probabilities"][1, 0] for member in members], axis=0, dtype=np.float64
        )
        found = np.load(file)
        apart = max(apart, float(np.abs(found - mean).max()))
        pixels += int(((found > 0.5) != (mean > 0.5)).sum())
        all_pixels += found.size
    return f"mean probabilities differ by {apart:.0e} at most, masks in {pixels} of {all_pixels} pixels"


def _show(costs: dict[str, Cost], given: Any, apart: dict[str, str]) -> None:
    names = {
        "ours": "ours, one process",
        "bf16": "ours, ensemble.precision=bf16-mixed",
        "stock": f"nnU-Net's predictor {given.members} times, one process",
        "cli": f"nnU-Net's command line {given.members} times (first {given.cli} run, the faster counted)",
    }
    table = Table(
        f"{given.members} members, {given.images} images",
        "wall, s",
        "processor, s",
        "of ours (wall, processor)",
        "memory, GiB",
    )
    first = costs["ours"]
    for way, name in names.items():
        if way in costs:
            cost = costs[way].times(given.members) if way == "cli" else costs[way]
            ratio = f"{cost.wall / first.wall:.1f} x, {cost.processor / first.processor:.1f} x"
            table.add_row(name, f"{cost.wall:.1f}", f"{cost.processor:.1f}", ratio, f"{cost.memory:.2f}")
    note = "nnU-Net's command line takes as many threads as there are cores, all else one."
    Console(width=140).print(table, note, *(f"{names[way]}: {said}" for way, said in apart.items()), sep="\n")


if __name__ == "__main__":
    main()
