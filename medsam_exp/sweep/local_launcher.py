"""Jobs in processes of their own, a few at once on one machine.

Why not a pool of workers, as joblib's? A worker that is killed, most often for want of memory, breaks a pool: its
other jobs are lost and nobody knows which job it was. And submitit's local executor starts all jobs at once. Here each
job is a fresh process, so a death is that job's own and is named, memory and GPU are given back at its end, and one
job leaves nothing behind for the next. The processes are forked from one that has imported torch, so that this costs
seconds once and not for each job; nothing may have touched a GPU or computed in several threads before.
"""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from medsam_exp.runtime.interrupts import ENDED_BY_SIGNAL, die_with_parent, stops_when_asked

log = logging.getLogger(__name__)

CONSOLE_FILE = "console.log"
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 5
"""A job that is asked to stop has left by then."""


@dataclass(frozen=True)
class ForkedJob:
    """A job and where it says what it does.

    Attributes:
        folder: of the job; what it prints is in `console.log` there.
        run: does the work, in a process of its own.
    """

    folder: Path
    run: Callable[[], None]


def run_side_by_side(jobs: Sequence[ForkedJob], at_once: int, died: Callable[[Path, str], None]) -> None:
    """Run jobs in order, `at_once` of them at a time.

    Args:
        jobs: what to run.
        at_once: processes at a time.
        died: told the folder of a job whose process did not come to its end, and why.
    """
    waiting, running = list(reversed(jobs)), list[tuple[ForkedJob, BaseProcess]]()
    with _ends_with_this_process(running):
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop()
                log.info("%-12s %s: started", "job", job.folder.name)
                running.append((job, _started(job)))
            for job, process in [pair for pair in running if not pair[1].is_alive()]:
                running.remove((job, process))
                _end_group(process)  # what a dead job has started must not go on
                if process.exitcode:
                    died(job.folder, _reason(process.exitcode, job.folder / CONSOLE_FILE))
                number = len(jobs) - len(waiting) - len(running)
                log.info("%-12s %s: ended, %d of %d", "job", job.folder.name, number, len(jobs))
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _started(job: ForkedJob) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=_in_own_group, args=(job,))
    process.start()
    return process


def _in_own_group(job: ForkedJob) -> None:
    """Run a job as the leader of a process group, so that whatever it starts ends with it."""
    os.setsid()
    die_with_parent()
    job.folder.mkdir(parents=True, exist_ok=True)
    console = os.open(job.folder / CONSOLE_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):  # also of what it starts
        os.dup2(console, stream)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
    with stops_when_asked():
        job.run()


def _reason(exit_code: int, console: Path) -> str:
    number = exit_code - ENDED_BY_SIGNAL if exit_code > ENDED_BY_SIGNAL else -exit_code
    for sent in signal.Signals:
        if sent == number:
            memory = ", perhaps for want of memory" if sent is signal.SIGKILL else ""
            return f"its process was killed by {sent.name}{memory}"
    said = [line.strip() for line in console.read_text(errors="replace").splitlines() if line.strip()]
    return said[-1] if said else f"its process ended with exit code {exit_code}"


@contextmanager
def _ends_with_this_process(running: list[tuple[ForkedJob, BaseProcess]]) -> Iterator[None]:
    """End what runs when this process is asked to end; a job that it leaves behind would not know."""
    try:
        with stops_when_asked():
            yield
    finally:
        for _, process in running:
            process.terminate()  # it alone at first, as it ends in good order what it has started
        for _, process in running:
            process.join(_SECONDS_TO_END)
            _end_group(process)


def _end_group(process: BaseProcess) -> None:
    """End what is left of a job's group, if anything is: torchrun, asked to end, takes its own processes with it."""
    end = time.monotonic() + _SECONDS_TO_END
    left = _signal_group(process, signal.SIGTERM)
    while left and time.monotonic() < end:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        left = _signal_group(process, None)
    if left:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: BaseProcess, number: signal.Signals | None) -> bool:
    """Send a signal to a job's group, or none; return whether there was somebody to get it."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, number or 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
