"""Fine-tune the tiny CLIP with every loss and print what each reaches: `python -m experiments.loss_ablation.collect`.

Pairs are drawn scans and, where a folder of ROCO's layout is given as argument, its images and captions. What is
finished is read back, so an interrupted table goes on where it stopped.
"""

import json
import math
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

LOSSES = ("infonce", "dcl", "hn_nce", "dhn_nce", "dhn_nce_released")
SEEDS = (0, 1, 2)
STUDENT_95 = 4.303
"""Two-sided 95 % quantile of Student's t for three seeds."""
COLUMNS = {
    "retrieval/top1_image_to_text": "image to text, top-1",
    "retrieval/top1_text_to_image": "text to image, top-1",
    "retrieval/recall10_text_to_image": "recall@10 of all",
    "coarse/dsc": "coarse DSC",
    "sam/dsc": "SAM DSC",
}
HERE = Path(__file__).parent
FOLDER = Path("outputs/experiments/loss_ablation")


def overrides(pairs: str, roco: str | None) -> list[str]:
    """Options that choose the training set; drawn scans also show what the loss does to masks."""
    if pairs == "phantom":
        return ["pairs.train.count=2000"]
    files = [f"pairs.train.file={roco}/train.csv", f"pairs.validation.file={roco}/val.csv"]
    return ["pairs=roco", *files, "stages=[finetune_clip,retrieval]"]


def run(job: tuple[str, str, int | None], roco: str | None) -> dict[str, Any]:
    """Metrics of one run; without a loss the network is measured as it stands."""
    pairs, loss, seed = job
    folder = FOLDER / pairs / loss / str(seed)
    options = [*overrides(pairs, roco), f"loss={loss}" if seed is not None else "loss=infonce"]
    if seed is None:
        later = "retrieval,saliency,coarse_mask,sam_mask,evaluate" if pairs == "phantom" else "retrieval"
        options.append(f"stages=[{later}]")
    options += [f"seed={seed or 0}", f"hydra.run.dir={folder}"]
    command = [sys.executable, "run.py", "+experiment=loss_ablation", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics: dict[str, Any] = json.loads((folder / "summary.json").read_text())["metrics"]
    return metrics


def cell(values: list[float]) -> str:
    """Mean over the seeds with its 95 % confidence interval, in percent."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{100 * mean:.1f}"
    half = STUDENT_95 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{100 * mean:.1f} [{100 * (mean - half):.1f}, {100 * (mean + half):.1f}]"


def print_table(pairs: str, results: dict[str, list[dict[str, Any]]]) -> None:
    """One row a loss, one column a measure."""
    columns = {name: title for name, title in COLUMNS.items() if name in results["before"][0]}
    table = Table("%", *columns.values(), title=f"{pairs}: mean over {len(SEEDS)} seeds [95 % CI]")
    for loss, metrics in results.items():
        table.add_row(loss, *(cell([figures[name]["mean"] for figures in metrics]) for name in columns))
    Console(width=140).print(table)


def misses(pairs: str, results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Committed figures that were not reached again within their tolerance."""
    expected = json.loads((HERE / "expected.json").read_text())
    missed = []
    for loss, figures in expected[pairs].items():
        for column, value in figures.items():
            found = statistics.mean(metrics[column]["mean"] for metrics in results[loss])
            if abs(found - value) > expected["tolerance"][column]:
                missed.append(f"{pairs}, {loss}, {column}: expected {value}, measured {found:.3f}")
    return missed


def main(roco: str | None) -> None:
    """Run what is missing and print a table for each training set; exit non-zero when committed figures are missed."""
    missed: list[str] = []
    for pairs in ("phantom", *(("roco",) if roco else ())):
        jobs: list[tuple[str, str, int | None]] = [(pairs, "before", None)]
        jobs += [(pairs, loss, seed) for seed in SEEDS for loss in LOSSES]
        with ThreadPoolExecutor(max_workers=2) as pool:  # each job is a process of its own
            metrics = list(pool.map(lambda job: run(job, roco), jobs))
        results: dict[str, list[dict[str, Any]]] = {loss: [] for loss in ("before", *LOSSES)}
        for (_, loss, _), figures in zip(jobs, metrics, strict=True):
            results[loss].append(figures)
        print_table(pairs, results)
        missed += misses(pairs, results)
    print("Research use only; not a medical device.")
    if missed:
        sys.exit("error: " + "; ".join(missed))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
