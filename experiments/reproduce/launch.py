"""Run the sweeps of tables, equal ones once; a sweep that is done is read back by itself."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from experiments.reproduce.plan import ROOT, Sweep


def launch(sweeps: Sequence[Sweep], logs: Path, processes: int, say: Callable[[str], None]) -> list[str]:
    """Run sweeps, each in a process of its own.

    Args:
        sweeps: to run; those with one folder are one.
        logs: folder for what they print.
        processes: how many run at once.
        say: takes a line on each sweep as it ends.

    Returns:
        One sentence on each sweep that has unfinished jobs.
    """
    logs.mkdir(parents=True, exist_ok=True)
    jobs: dict[Path, Sweep] = {}
    for sweep in sweeps:
        jobs.setdefault(sweep.folder(), sweep)

    def one(folder: Path, sweep: Sweep) -> str | None:
        log = logs / f"{folder.parent.name}-{folder.name}.log"
        command = [sys.executable, str(ROOT / "run.py"), "-m", *sweep.options]
        with log.open("w") as file:
            code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
        say(f"{'failed' if code else 'done':6s}  {sweep.command}")
        return f"{sweep.command} left jobs unfinished; {log} says why" if code else None

    with ThreadPoolExecutor(max_workers=processes) as pool:
        return [sentence for sentence in pool.map(one, jobs, jobs.values()) if sentence is not None]


def share_cores(processes: int) -> None:
    """Processes that run at once share the cores, unless their threads were chosen already."""
    if processes > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
