"""A sweep of 48 jobs against the same jobs apart: `python -m benchmarks.bench_sweep [--alone N] [--count N]`.

The jobs share what their settings leave alone: six saliency stages instead of 48. Apart, each job is a command of
its own with an empty store; N of them are run, spread evenly over the grid, and stand for all.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

AXES = {
    "saliency": ("m2ib", "m2ib_released", "gradcam"),
    "postprocess": ("kmeans", "threshold", "otsu", "kmeans_released"),
    "prompt": ("box", "points"),
    "seed": ("0", "1"),
}


def main() -> None:
    """Print wall-clock and processor seconds of both ways and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", type=int, default=6, help="jobs that are run apart")
    parser.add_argument("--count", type=int, default=20, help="drawn scans")
    options = parser.parse_args()
    fixed = [f"data.count={options.count}", "stages=[saliency,coarse_mask,sam_embedding,sam_mask,evaluate]"]
    table = Table(
        "", "wall-clock seconds", "processor seconds", title=f"48 jobs, {options.count} drawn scans"
    )
    with tempfile.TemporaryDirectory() as folder:
        grid = [f"{key}={','.join(values)}" for key, values in AXES.items()]
        together = _seconds(["-m", *fixed, *grid, f"paths.outputs={folder}/together"])
        (sweep,) = Path(folder).glob("together/sweeps/*/*/sweep.json")
        jobs = json.loads(sweep.read_text())["jobs"]
        assert len(jobs) == 48
        chosen = [jobs[place * len(jobs) // options.alone] for place in range(options.alone)]
        alone = [0.0, 0.0]
        for number, job in enumerate(chosen):
            values = [f"{key}={value}" for key, value in job["overrides"].items()]
            spent = _seconds([*fixed, *values, f"paths.outputs={folder}/alone/{number}"])
            alone = [before + now * len(jobs) / len(chosen) for before, now in zip(alone, spent, strict=True)]
            shutil.rmtree(f"{folder}/alone/{number}")
    table.add_row("one sweep", *(f"{value:.0f}" for value in together))
    table.add_row(
        f"apart ({len(chosen)} run, times {len(jobs) / len(chosen):g})", *(f"{value:.0f}" for value in alone)
    )
    table.add_row("ratio", *(f"{b / a:.1f}" for a, b in zip(together, alone, strict=True)))
    Console().print(table)


def _seconds(arguments: list[str]) -> tuple[float, float]:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    start, before = time.perf_counter(), spent()
    done = subprocess.run([sys.executable, "run.py", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.perf_counter() - start, spent() - before


if __name__ == "__main__":
    main()
