"""Run every saliency method with every post-processor and prompt: `python -m experiments.methods.collect [options]`.

Options are those of run.py and go to every run, such as `data=folder data.root=my_data text=free text.text="a mass"`;
without any, 200 held-out drawn scans. What is finished is read back, so an interrupted table goes on where it stopped.
"""

import csv
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SALIENCY = (
    "m2ib",
    "m2ib_released",
    "gradcam",
    "gscorecam",
    "gradient_rollout",
    "attention_rollout",
    "intensity",
)
POSTPROCESS = ("otsu", "kmeans", "kmeans_released", "threshold", "crf")
PROMPT = ("box", "points", "both")
MEASURES = {"dsc": "DSC", "iou": "IoU", "nsd": "NSD"}
HERE = Path(__file__).parent
FOLDER = Path("outputs/experiments/methods")

Row = tuple[str, str, str]
"""Saliency, post-processor, prompt."""


def run(saliency: str, options: list[str], folder: Path) -> dict[Row, dict[str, Any]]:
    """Metrics of all runs with one saliency method, one after the other in a process of their own."""
    jobs = [(saliency, postprocess, prompt) for postprocess, prompt in product(POSTPROCESS, PROMPT)]
    grid = [f"postprocess={','.join(POSTPROCESS)}", f"prompt={','.join(PROMPT)}"]
    place = [f"hydra.sweep.dir={folder / saliency}", "hydra.sweep.subdir=${hydra.job.num}"]
    command = [sys.executable, "run.py", "-m", "+experiment=phantom_zeroshot", f"saliency={saliency}"]
    subprocess.run(
        [*command, *grid, *options, "report_cases=1", *place], check=True, stdout=subprocess.DEVNULL
    )
    return {job: _metrics(folder / saliency / str(number)) for number, job in enumerate(jobs)}


def _metrics(run_dir: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())["metrics"]
    return metrics


def cell(figure: dict[str, Any]) -> str:
    """Mean and confidence interval in one cell."""
    low, high = figure["ci95"]
    return f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]"


def print_table(measured: dict[Row, dict[str, Any]]) -> None:
    """One row a saliency method and post-processor, one column a prompt, for each measure of SAM's mask."""
    for measure, label in MEASURES.items():
        titles = (f"SAM {label}, {prompt}" for prompt in PROMPT)
        table = Table("saliency", "post-processing", f"coarse {label}", *titles)
        for saliency, postprocess in product(dict.fromkeys(row[0] for row in measured), POSTPROCESS):
            runs = [measured[saliency, postprocess, prompt] for prompt in PROMPT]
            coarse = runs[0][f"coarse/{measure}"]  # before any prompt
            table.add_row(
                saliency, postprocess, cell(coarse), *(cell(found[f"sam/{measure}"]) for found in runs)
            )
        Console(width=150).print(table)


def write_csv(measured: dict[Row, dict[str, Any]], path: Path) -> None:
    """All figures, one line a run."""
    names = [f"{stage}/{measure}" for stage in ("coarse", "sam") for measure in MEASURES]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "saliency",
                "postprocess",
                "prompt",
                *(f"{n} {part}" for n in names for part in ("mean", "low", "high")),
            ]
        )
        for row, found in measured.items():
            figures = [[found[name]["mean"], *found[name]["ci95"]] for name in names]
            writer.writerow([*row, *(f"{value:.4f}" for figure in figures for value in figure)])


def misses(measured: dict[Row, dict[str, Any]]) -> list[str]:
    """Committed figures that were not reached again within their tolerance."""
    expected = json.loads((HERE / "expected.json").read_text())
    found = {" ".join(row): figures["sam/dsc"]["mean"] for row, figures in measured.items()}
    return [
        f"{row}: expected {value}, measured {found[row]:.3f}"
        for row, value in expected["sam/dsc"].items()
        if abs(found[row] - value) > expected["tolerance"]
    ]


def main(options: list[str]) -> None:
    """Print the tables; exit non-zero when committed figures are missed."""
    folder = FOLDER / (re.sub(r"\W+", "_", " ".join(options))[-60:] or "phantom")
    with ThreadPoolExecutor(max_workers=2) as pool:
        parts = list(pool.map(lambda saliency: run(saliency, options, folder), SALIENCY))
    measured = {row: figures for part in parts for row, figures in part.items()}
    print_table(measured)
    write_csv(measured, folder / "table.csv")
    print(f"all figures: {folder / 'table.csv'}\nResearch use only; not a medical device.")
    if not options and (missed := misses(measured)):
        sys.exit("error: " + "; ".join(missed))


if __name__ == "__main__":
    main(sys.argv[1:])
