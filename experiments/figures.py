"""What experiments with committed figures share: run a configuration, print a figure, compare with what is expected."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medsam_exp.metrics.measures import DISCLAIMER, interval

Figures = Mapping[str, Mapping[str, Any]]
"""Mean, confidence interval and n by name."""
EXPECTED_FILE = "expected.json"


def run(options: Sequence[str], folder: Path) -> list[dict[str, str]]:
    """Run a configuration, or read it back from stored artifacts.

    Args:
        options: of `run.py`.
        folder: of the run.

    Returns:
        Rows of per_image.csv.
    """
    command = [sys.executable, "run.py", *options]
    subprocess.run([*command, f"hydra.run.dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    with (folder / "per_image.csv").open() as file:
        return list(csv.DictReader(file))


def cell(figure: Mapping[str, Any]) -> str:
    """Mean and confidence interval in one cell."""
    return f"{figure['mean']:.3f} {interval(figure['ci95'])}"


def finish(measured: Mapping[str, Figures], folder: Path) -> None:
    """Print the disclaimer; exit non-zero when a committed figure was not reached within its tolerance.

    Args:
        measured: figures by row.
        folder: of the experiment, with its committed figures.
    """
    print(DISCLAIMER)
    expected = json.loads((folder / EXPECTED_FILE).read_text())
    missed = [
        f"{row}, {name}: expected {value}, measured {measured[row][name]['mean']:.3f}"
        for row, figures in expected["rows"].items()
        for name, value in figures.items()
        if abs(measured[row][name]["mean"] - value) > expected["tolerance"]
    ]
    if missed:
        sys.exit("error: " + "; ".join(missed))
