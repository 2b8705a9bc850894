"""Weak supervision of drawn scans with tiny networks, as whole runs in this process."""

import json
import time
from pathlib import Path
from typing import Any

import torch

from medsam_exp.cli.runner import run
from medsam_exp.nnunet.checkpoint import read_checkpoint
from tests.compose import composed
from tests.nnunet_toy import SMALL
from tests.stored import stored

CHAIN = (
    "clip=tiny_random",
    "sam=tiny_scratch",
    "data=phantom",
    "data.count=3",
    "++train_data.seed=31",
    "++train_data.count=6",
    "weak_label=ground_truth",
    *SMALL,
    "ensemble.mirroring=false",
    "stages=[weak_label,train_nnunet,nnunet_single,nnunet_ensemble,evaluate]",
)
TRAINING = ("stages=[weak_label,train_nnunet]",)


def finish(outputs: Path, *overrides: str) -> dict[str, Any]:
    """Run in this process, and give the summary."""
    run_dir = outputs / f"run{time.time_ns()}"
    run_dir.mkdir(parents=True)
    typed = [*CHAIN, f"paths.outputs={outputs}", *overrides]
    run(composed(*typed), run_dir, {"data": "phantom"}, typed)
    return json.loads((run_dir / "summary.json").read_text())


def artifacts(outputs: Path, stage: str) -> Path:
    """The only folder of a stage's artifacts."""
    (folder,) = (path for path in (outputs / "artifacts" / stage).iterdir() if path.is_dir())
    return folder


def record(outputs: Path, stage: str) -> dict[str, Any]:
    """What a stage that works on all images at once says of its result."""
    return stored(artifacts(outputs, stage)).info("all")


def weights(outputs: Path) -> dict[str, dict[str, torch.Tensor]]:
    files = artifacts(outputs, "train_nnunet").glob("nnUNet_results/*/*/fold_*/*.pth")
    return {
        f"{file.parent.name}/{file.name}": read_checkpoint(file)["network_weights"] for file in sorted(files)
    }
