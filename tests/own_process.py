"""A step of a test as a process of its own, so that its peak memory is its own."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def run_step(module: str, step: str, *words: object) -> dict[str, float]:
    """What `python -m module step words` prints last, as JSON: figures by name."""
    command = [sys.executable, "-m", module, step, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    printed: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return printed


def show_figures(name: str, figures: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    """Print what was measured, also of a test that passes."""
    with capsys.disabled():
        print(f"\n{name}: " + ", ".join(f"{each} {value:.4g}" for each, value in figures.items()))
