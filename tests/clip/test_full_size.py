"""Each published CLIP at its full size, from random weights in its published layout, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clip.full_size import WRITE
from tests.compose import CONF
from tests.conftest import ROOT

MEMORY_GB = 10
"""The most that one may take here; the largest, MedSigLIP of 3.5 GB of weights, took 8.6."""
OWN = {"folder", "tiny", "tiny_random", "tiny_scratch"}
CHOICES = sorted({path.stem for path in (CONF / "clip").glob("*.yaml")} - OWN)


@pytest.mark.slow
@pytest.mark.usefixtures("shared")  # BiomedCLIP's tokenizer lies there
@pytest.mark.parametrize("choice", CHOICES)
def test_it_loads_and_embeds(choice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process's peak memory is of all that it did, so that writing and loading have one each."""
    assert choice in WRITE, "say in tests/clip/full_size.py how its files are laid out"
    assert not run("write", choice, tmp_path)
    found = run("ours", choice, tmp_path)
    with capsys.disabled():
        print(f"\n{choice}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
    assert found["parameters"] > 80
    assert 0 < found["spread"] < 1e3
    assert found["peak_gb"] < MEMORY_GB


def run(step: str, choice: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.clip.full_size", step, choice, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    printed: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return printed
