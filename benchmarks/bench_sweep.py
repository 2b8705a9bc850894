"""A sweep against the same jobs apart: `python -m benchmarks.bench_sweep [--alone N] [--count N]` runs 48 jobs.

The jobs share what their settings leave alone: six saliency stages instead of 48. Apart, each job is a command of
its own with an empty store; N of them are run, spread evenly over the grid, and stand for all. `make bench` runs a grid
of eight jobs.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from medsam_exp.cli.benchmark.rows import Row, print_rows

AXES = {
    "saliency": ("m2ib", "m2ib_released", "gradcam"),
    "postprocess": ("kmeans", "threshold", "otsu", "kmeans_released"),
    "prompt": ("box", "points"),
    "seed": ("0", "1"),
}
FEW = {**AXES, "saliency": ("gradcam",), "seed": ("0",)}


def main() -> None:
    """Print processor seconds of both ways and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", type=int, default=6, help="jobs that are run apart")
    parser.add_argument("--count", type=int, default=20, help="drawn scans")
    options = parser.parse_args()
    print_rows("a sweep and its jobs apart", [_measured(AXES, options.count, options.alone)])


def rows() -> list[Row]:
    """A small grid, for `python -m benchmarks`."""
    return [_measured(FEW, count=6, alone=1)]


def _measured(axes: Mapping[str, Sequence[str]], count: int, alone: int) -> Row:
    """Processor seconds of one command for the whole grid, and of a command for each job."""
    fixed = [f"data.count={count}", "stages=[saliency,coarse_mask,sam_embedding,sam_mask,evaluate]"]
    number = math.prod(map(len, axes.values()))
    with tempfile.TemporaryDirectory() as folder:
        grid = [f"{key}={','.join(values)}" for key, values in axes.items()]
        together = _seconds(["-m", *fixed, *grid, f"paths.outputs={folder}/together"])
        (sweep,) = Path(folder).glob("together/sweeps/*/*/sweep.json")
        jobs = json.loads(sweep.read_text())["jobs"]
        assert [job["status"] for job in jobs] == ["done"] * number
        apart = []
        for place in range(alone):
            job = jobs[place * number // alone]["overrides"]
            values = [f"{key}={value}" for key, value in job.items()]
            apart.append(_seconds([*fixed, *values, f"paths.outputs={folder}/apart/{place}"]))
    note = f"apart: {alone} jobs run, times {number / alone:g}"
    return Row(
        f"sweep, {number} jobs, {count} drawn scans", "s", sum(apart) * number / alone, together, note=note
    )


def _seconds(arguments: list[str]) -> float:
    """Processor seconds of a command and all that it starts."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    done = subprocess.run([sys.executable, "run.py", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return spent() - before


if __name__ == "__main__":
    main()
