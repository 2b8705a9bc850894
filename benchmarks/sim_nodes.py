"""What a job takes on several machines, from the stage times of a run: `python -m benchmarks.sim_nodes SUMMARY.JSON`.

A job's processes take every W-th batch of a stage and wait for each other at its end, as the engine does. Simulated are
uneven batches, one slow machine, and what does not shrink with more machines: starting, reading the plan, the report.
Not simulated are a file system that many machines share and the network between them.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

IMAGES = (1_000, 10_000, 100_000)
NODES = (1, 2, 4, 8)
BATCH = 8
SPREAD = 0.2
"""Standard deviation of a batch's time over its mean."""
SLOWEST = 1.1
"""Time of the slowest machine over the others'."""


@dataclass(frozen=True)
class Job:
    """What a job costs.

    Attributes:
        stages: seconds an image of each stage, on one process.
        start: seconds before a stage of networks begins, for each process and stage.
        every_process: seconds an image that each process spends on all images: to plan.
        one_process: seconds an image that one process spends on all images: summary and report.
    """

    stages: tuple[float, ...]
    start: float
    every_process: float
    one_process: float


def seconds(job: Job, images: int, nodes: int, generator: np.random.Generator) -> float:
    """Seconds from the command to the report.

    Args:
        job: see there.
        images: of the dataset.
        nodes: machines, one process each.
        generator: draws the batches' times.
    """
    total = (job.every_process + job.one_process) * images
    speeds = np.ones(nodes)
    if nodes > 1:
        speeds[-1] = SLOWEST
    batches = -(-images // BATCH)
    for stage in job.stages:
        times = stage * BATCH * np.maximum(generator.normal(1, SPREAD, batches), 0.1)
        shares = [times[node::nodes].sum() * speeds[node] for node in range(nodes)]
        total += job.start + max(shares)
    return total


def job_of(summary: Path, start: float, every_process: float, one_process: float) -> Job:
    """A job with the stage times that a run has measured; stages that were stored already do not count."""
    timing = json.loads(summary.read_text())["timing"].values()
    measured = tuple(stage["seconds"] / stage["images"] for stage in timing if stage["images"])
    return Job(measured, start, every_process, one_process)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print hours, speed-up over one machine and efficiency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("summary", type=Path, help="summary.json of a run that computed all of its stages")
    parser.add_argument("--start", type=float, default=10.0, help="seconds before a stage begins")
    parser.add_argument("--plan", type=float, default=0.6e-3, help="seconds an image, every process")
    parser.add_argument("--report", type=float, default=1e-3, help="seconds an image, one process")
    options = parser.parse_args(arguments)
    job = job_of(options.summary, options.start, options.plan, options.report)
    table = Table("images", *(f"{nodes} machines" for nodes in NODES), title="hours (speed-up)")
    for images in IMAGES:
        took = [seconds(job, images, nodes, np.random.default_rng(0)) for nodes in NODES]
        table.add_row(f"{images:,}", *(f"{one / 3600:.3g} ({took[0] / one:.2f} x)" for one in took))
    Console().print(table)


if __name__ == "__main__":
    main()
