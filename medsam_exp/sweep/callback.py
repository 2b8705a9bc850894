"""Hydra's callback around a sweep: gives it a folder by its identity before, and says at the end what came of it."""

import atexit
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from rich.console import Console

from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.interrupts import was_asked
from medsam_exp.runtime.json_text import json_text
from medsam_exp.sweep.files import SWEEP_FILE
from medsam_exp.sweep.identity import SweepPlan, job_folder, plan_sweep
from medsam_exp.sweep.jobs import (
    configuration_files_digest,
    done_at,
    doubt,
    error_of,
    forget_failure,
    status_of,
)
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from medsam_exp.sweep.collect import Collected

log = logging.getLogger(__name__)


class SweepCallback(Callback):
    """The same command again finds the same folder, and in it the jobs that are done."""

    def __init__(self) -> None:
        self._plan: SweepPlan | None = None
        self._folder = Path()
        self._started = 0.0
        self._logger = DictConfig({})
        self._configuration = ""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Name the sweep's folder after its grid, and each job's after its values."""
        with _errors_end_the_sweep():
            self._begin(config)

    def _begin(self, config: DictConfig) -> None:
        params = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}))
        typed = OmegaConf.to_container(config.hydra.overrides.task)
        assert isinstance(params, dict)
        assert isinstance(typed, list)
        plan = self._plan = plan_sweep({str(key): value for key, value in params.items()}, typed)
        self._logger = config.logger
        self._folder = Path(config.paths.outputs) / "sweeps" / config.name / plan.id
        excluded = sorted(_names_of_fixed(plan) - {axis.partition("@")[0] for axis in plan.axes})
        with read_write(config), open_dict(config):
            config.hydra.sweep.dir = str(self._folder)
            config.hydra.overrides.hydra += [
                f"hydra.sweep.dir='{self._folder}'",
                f"hydra.job.config.override_dirname.exclude_keys=[{','.join(map(repr, excluded))}]",
            ]
        self._configuration = configuration_files_digest()
        if self._recorded_configuration() != self._configuration:
            for name in self._names():  # each is looked at again when its turn comes
                doubt(self._folder / name)
        before = sum(status_of(self._folder / name) == "done" for name in self._names())
        self._started = time.time()
        if config.sweep.fail_fast:  # an old failure is to be tried again, not to stop everything
            for name in self._names():
                forget_failure(self._folder / name)
        self._write("running")
        log.info(
            "%-12s %s: %d jobs, %d of them done before: %s",
            "sweep", plan.id, len(plan.jobs), before, self._folder,
        )  # fmt: skip
        atexit.register(self._finish)  # a launcher may raise, and then nobody calls the end

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Say what came of it; leave with an error when a job failed."""
        del config
        atexit.unregister(self._finish)
        with _errors_end_the_sweep():
            lacking = self._finish()
        if lacking:
            sys.exit(1)

    def _names(self) -> list[str]:
        assert self._plan is not None
        return [job_folder(job) for job in self._plan.jobs]

    def _recorded_configuration(self) -> str | None:
        """The configuration's files as they were when this sweep was last started."""
        path = self._folder / SWEEP_FILE
        return json.loads(path.read_text()).get("configuration") if path.is_file() else None

    def _finish(self) -> int:
        """Write the sweep's file and name what is not done; return how many jobs that are."""
        jobs = self._write("ended")
        lacking = [job for job in jobs if job["status"] != "done"]
        if was_asked():  # to stop, which must not take long; what lacks is no surprise
            return len(lacking)
        done = len(jobs) - len(lacking)
        new = sum(done_at(self._folder / name) >= self._started for name in self._names())
        log.info(
            "%-12s %d of %d jobs done (%d before): %s",
            "sweep", done, len(jobs), done - new, self._folder,
        )  # fmt: skip
        for job in lacking:
            reason = job["error"] or "did not come to an end"
            log.error(
                "%-12s %s: %s\n             alone: %s", job["status"], job["folder"], reason, job["command"]
            )
        if lacking:
            log.error("             the same command again runs only these %d jobs", len(lacking))
        if done:
            self._collect(anything_new=new > 0)
        return len(lacking)

    def _collect(self, *, anything_new: bool) -> None:
        """Write the tables and the report of what is done, and track them; a failure there loses no job."""
        from medsam_exp.sweep.collect import collect, print_collected  # imports much that no single run needs

        try:
            collected = collect([self._folder], self._folder)
            if anything_new:
                self._track(collected)
        except Exception as error:  # the jobs' own results are all there
            log.error("%-12s was not collected (%s); try: make collect RUN=%s", "sweep", error, self._folder)
            return
        print_collected(collected, self._folder, Console())

    def _track(self, collected: "Collected") -> None:
        """Give the tables to the jobs' tracker, as one more of its runs in the group of the jobs."""
        from medsam_exp.config.build import build
        from medsam_exp.report.logger.job import SweepJob, TrackedRun

        assert self._plan is not None
        name = self._folder.parent.name
        tracked = TrackedRun(
            folder=self._folder,
            name=f"{name} (tables)",
            stages=("sweep",),
            sweep=SweepJob(self._plan.id, name, None, {}),
        )
        tables = {
            title: (sheet.header, [[item.text for item in line] for line in sheet.lines])
            for title, sheet in collected.sheets.items()
        }
        with build(self._logger)(run=tracked) as tracker:
            tracker.show_sweep(tables, self._folder / "report.html")

    def _write(self, state: str) -> list[dict[str, Any]]:
        assert self._plan is not None
        jobs = [
            {
                "number": number,
                "overrides": job,
                "folder": name,
                "status": status_of(self._folder / name),
                "error": error_of(self._folder / name),
                "command": self._plan.command(job),
            }
            for number, (job, name) in enumerate(zip(self._plan.jobs, self._names(), strict=True))
        ]
        content = {
            "id": self._plan.id,
            "name": self._folder.parent.name,
            "state": state,
            "configuration": self._configuration,
            "axes": {key: list(values) for key, values in self._plan.axes.items()},
            "fixed": list(self._plan.fixed),
            "jobs": jobs,
        }
        write_atomically(self._folder / SWEEP_FILE, json_text(content, indent=1).encode())
        return jobs


@contextmanager
def _errors_end_the_sweep() -> Iterator[None]:
    """Of an error in a callback Hydra would make a warning, and go on with a sweep that nobody keeps the books of."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, UserError | HydraException | OSError):
            log.exception("the sweep's own books cannot be kept")
        sys.exit(f"error: {error}")


def _names_of_fixed(plan: SweepPlan) -> set[str]:
    """Keys of what was typed for all jobs, as Hydra compares them: without the place that a group is put at."""
    return {line.partition("=")[0].lstrip("+~").partition("@")[0] for line in plan.fixed} | {"sweep"}
