"""Launchers of a sweep: which jobs are left, and running them in processes of this machine, a few at a time.

Why not a pool of workers, as joblib's? A worker that is killed, most often for want of memory, breaks a pool: its
other jobs are lost and nobody knows which job it was. And submitit's local executor starts all jobs at once. Here each
job is a fresh process, so a death is that job's own and is named, memory and GPU are given back at its end, and one
job leaves nothing behind for the next. The processes are forked from one that has imported what computes, so that this
costs seconds once and not for each job; nothing may have touched a GPU or computed in several threads before.
"""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from medsam_exp.runtime.disk_faults import disk_fault
from medsam_exp.runtime.interrupts import ENDED_BY_SIGNAL, die_with_parent, stops_when_asked
from medsam_exp.sweep.status import Planner, is_up_to_date, last_line, outcome, status_of

log = logging.getLogger(__name__)

CONSOLE_FILE = "console.log"
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 5
"""A job that got SIGTERM has ended by then."""


@dataclass(frozen=True)
class LaunchedJob:
    """A job of a sweep before it runs.

    Attributes:
        number: in its sweep.
        overrides: its part of the command line.
        config: composed for it, with Hydra's own part.
        folder: where it writes.
    """

    number: int
    overrides: list[str]
    config: DictConfig
    folder: Path

    def gpus(self, pool: Sequence[str]) -> int:
        """How many GPUs of a pool it uses; 0 where the pool is empty, which the job itself reports."""
        on_gpus = self.config.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda")
        return self.processes if pool and on_gpus else 0

    @property
    def processes(self) -> int:
        """How many processes run it on one machine."""
        devices = self.config.trainer.get("devices", 1)
        return devices if isinstance(devices, int) else 1  # the job reports what is wrong with another value


def pending_jobs(
    context: HydraContext,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    plan: Planner,
) -> list[LaunchedJob]:
    """The jobs that are not done, composed; a done job needs no process, no GPU and no place in a queue.

    Args:
        context: Hydra's.
        config: of the sweep.
        job_overrides: of each job.
        first: number of the first one.
        plan: tells what a job would compute.
    """
    setup_globals()
    jobs = []
    for number, overrides in enumerate(job_overrides, first):
        job = context.config_loader.load_sweep_config(config, list(overrides))
        with read_write(job), open_dict(job):
            job.hydra.job.id = str(number)
            job.hydra.job.num = number
        folder = Path(str(job.hydra.sweep.dir)) / str(job.hydra.sweep.subdir)
        own = OmegaConf.masked_copy(job, [str(key) for key in job if key != "hydra"])
        if is_up_to_date(own, folder, plan):
            log.info("%-12s %s: done before", "job", folder.name)
        else:
            jobs.append(LaunchedJob(number, list(overrides), job, folder))
    return jobs


def job_returns(job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """What Hydra expects a launcher to return for each job; the sweep itself reads the jobs' records."""
    return [JobReturn(overrides=list(one), status=JobStatus.COMPLETED) for one in job_overrides]


def run_processes(
    work: Mapping[Path, Callable[[], None]], at_once: int, on_death: Callable[[Path, str], None]
) -> None:
    """Run jobs in order, `at_once` of them at a time.

    Args:
        work: what each job does, by its folder; its output is in `console.log` there.
        at_once: processes at a time.
        on_death: called with the folder of a job whose process died, and the reason.
    """
    if work:
        import_module("medsam_exp.stages.context")  # torch, Lightning and the networks' libraries
    waiting, running = list(work)[::-1], dict[Path, BaseProcess]()
    try:
        with stops_when_asked():
            while waiting or running:
                while waiting and len(running) < at_once:
                    folder = waiting.pop()
                    log.info("%-12s %s: started", "job", folder.name)
                    own = (folder, work[folder])
                    running[folder] = multiprocessing.get_context("fork").Process(
                        target=_lead_group, args=own
                    )
                    running[folder].start()
                for folder, process in [pair for pair in running.items() if not pair[1].is_alive()]:
                    del running[folder]
                    _terminate_group(process)  # what a dead job has started must not go on
                    if process.exitcode:
                        on_death(folder, _exit_reason(process.exitcode, folder / CONSOLE_FILE))
                    number = len(work) - len(waiting) - len(running)
                    told = outcome(folder) if status_of(folder) == "done" else f"{folder.name}: ended"
                    log.info("%-12s %s (%d of %d that were left)", "job", told, number, len(work))
                time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for process in running.values():
            process.terminate()  # it alone at first, as it terminates its own children in order
        for process in running.values():
            process.join(_SECONDS_TO_END)
            _terminate_group(process)


def _lead_group(folder: Path, run: Callable[[], None]) -> None:
    """Run a job as the leader of a process group, so that whatever it starts ends with it."""
    os.setsid()
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    die_with_parent(parent.pid)
    folder.mkdir(parents=True, exist_ok=True)
    console = os.open(folder / CONSOLE_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):  # also of what it starts
        os.dup2(console, stream)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
    with stops_when_asked():
        try:
            run()
        except OSError as error:
            if not (said := disk_fault(error)):  # of the disk that should have taken the job's status
                raise
            sys.exit(f"error: {said}")


def _exit_reason(exit_code: int, console: Path) -> str:
    number = exit_code - ENDED_BY_SIGNAL if exit_code > ENDED_BY_SIGNAL else -exit_code
    for sent in signal.Signals:
        if sent == number:
            memory = ", perhaps for want of memory" if sent is signal.SIGKILL else ""
            return f"its process was killed by {sent.name}{memory}"
    return last_line(console.read_text(errors="replace")) or f"its process ended with exit code {exit_code}"


def _terminate_group(process: BaseProcess) -> None:
    """Terminate what is left of a job's process group; torchrun terminates its own processes."""
    end = time.monotonic() + _SECONDS_TO_END
    left = _signal_group(process, signal.SIGTERM)
    while left and time.monotonic() < end:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        left = _signal_group(process, None)
    if left:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: BaseProcess, number: signal.Signals | None) -> bool:
    """Send a signal to a job's process group, or none; return whether the group exists."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, number or 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
