"""Run the chain of parts and print it: `python -m experiments.components.collect [EXPERIMENT [WEIGHTS]]`.

EXPERIMENT is `components` (drawn scans) or one on real images, such as `busi_zeroshot`. With WEIGHTS, the rows after
the first take BiomedCLIP with these fine-tuned weights; without, they fine-tune on the experiment's pairs.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROWS = {
    "1_saliency": "1 saliency, fixed value",
    "2_finetuned": "2 + fine-tuned CLIP",
    "3_postprocess": "3 + post-processing",
    "4_components": "4 + connected components",
    "5_sam": "5 + SAM",
}
HERE = Path(__file__).parent
MEASURES = {"dsc": "DSC", "iou": "IoU", "nsd": "NSD"}


def options(experiment: str, row: str, weights: str | None) -> list[str]:
    """What a row adds to the experiment; drawn scans have a CLIP of their own, real ones start from BiomedCLIP."""
    chosen = [f"+components={row}"]
    if experiment == "components":
        return chosen
    if weights is None or row == "1_saliency":
        return [*chosen, "clip=biomedclip"]
    stages = "saliency,coarse_mask,sam_mask,evaluate" if row == "5_sam" else "saliency,coarse_mask,evaluate"
    return [*chosen, "clip=biomedclip_finetuned", f"clip.weights={weights}", f"stages=[{stages}]"]


def run(experiment: str, row: str, weights: str | None) -> dict[str, Any]:
    """Run one row, or read it back from stored artifacts; return the metrics of its last mask."""
    folder = Path("outputs/experiments/components") / experiment / row
    command = [sys.executable, "run.py", f"+experiment={experiment}", *options(experiment, row, weights)]
    subprocess.run([*command, f"hydra.run.dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((folder / "summary.json").read_text())["metrics"]
    last = "sam" if row == "5_sam" else "coarse"
    return {measure: metrics[f"{last}/{measure}"] for measure in MEASURES}


def cell(figure: dict[str, Any]) -> str:
    """Mean and confidence interval in one cell."""
    low, high = figure["ci95"]
    return f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]"


def misses(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Committed figures that were not reached again within their tolerance."""
    expected = json.loads((HERE / "expected.json").read_text())
    return [
        f"{row}: expected DSC {value}, measured {measured[row]['dsc']['mean']:.3f}"
        for row, value in expected["dsc"].items()
        if abs(measured[row]["dsc"]["mean"] - value) > expected["tolerance"]
    ]


def main(experiment: str = "components", weights: str | None = None) -> None:
    """Run the rows in order, so that later ones find what earlier ones have computed, and print the table."""
    table = Table("", *MEASURES.values(), "n", title=f"{experiment}: mean [95 % CI]")
    measured = {row: run(experiment, row, weights) for row in ROWS}  # in order: they share their fine-tuning
    for row, label in ROWS.items():
        figures = measured[row]
        table.add_row(label, *map(cell, figures.values()), str(figures["dsc"]["n"]))
    Console(width=120).print(table)
    print("Research use only; not a medical device.")
    if experiment == "components" and (missed := misses(measured)):
        sys.exit("error: " + "; ".join(missed))


if __name__ == "__main__":
    main(*sys.argv[1:])
