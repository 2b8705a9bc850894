"""Each segmenter at its full size, from random weights in its published layout, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medsam_exp.sam.families import FAMILIES
from tests.conftest import ROOT
from tests.sam.full_size import OWN

MEMORY_GB = 8
"""The most that one may take here; the largest, ViT-H of 2.6 GB of weights, took half of it."""


@pytest.mark.slow
@pytest.mark.parametrize("architecture", sorted(set(FAMILIES) - {"tiny"}))
def test_it_answers_as_its_own_library(
    architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process's peak memory is of all that it did, so that each network and each step has its own."""
    assert not run("write", architecture, tmp_path)
    ours = run("ours", architecture, tmp_path)
    with capsys.disabled():
        print(f"\n{architecture}: " + ", ".join(f"{name} {value:.4g}" for name, value in ours.items()))
    assert 0.01 < ours["foreground"] < 0.99
    assert ours["spread"] > 0.1
    assert ours["peak_gb"] < MEMORY_GB
    if architecture in OWN:  # in no library of the lock: held against a slow recomputation, small
        return
    apart = run("theirs", architecture, tmp_path)
    with capsys.disabled():
        print(f"{architecture}: " + ", ".join(f"{name} {value:.2g}" for name, value in apart.items()))
    assert apart["masks_spread"] > 0.1
    assert apart["masks"] < 1e-4 * max(1, apart["masks_spread"])
    assert apart["ious"] < 1e-4


def run(step: str, architecture: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.sam.full_size", step, architecture, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    printed: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return printed
