"""Hydra's callback around a sweep: names its folder by its identity, reports and collects the results at its end."""

import atexit
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from medsam_exp.config.overrides import divided_text, hydra_value
from medsam_exp.runtime.console import open_console
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.interrupts import was_asked
from medsam_exp.runtime.json_text import json_text
from medsam_exp.sweep.identity import SweepPlan, job_folder, plan_sweep
from medsam_exp.sweep.status import (
    SWEEP_FILE,
    clear_failure,
    configuration_files_digest,
    done_at,
    error_line,
    error_of,
    invalidate,
    status_of,
)
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from medsam_exp.sweep.collect import Collected

log = logging.getLogger(__name__)


class SweepCallback(Callback):
    """Makes a sweep resumable: the same command finds the same folder with the jobs that are done."""

    def __init__(self) -> None:
        self._plan = SweepPlan("", {}, ())
        self._jobs: dict[str, dict[str, str]] = {}
        self._folder = Path()
        self._done_at: dict[str, float] = {}
        self._logger = DictConfig({})
        self._choices: dict[str, str] = {}
        self._configuration = ""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Name the sweep's folder after its grid, and each job's after its values."""
        with _exit_on_error():
            self._begin(config)

    def _begin(self, config: DictConfig) -> None:
        params = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}))
        typed = OmegaConf.to_container(config.hydra.overrides.task)
        assert isinstance(params, dict)
        assert isinstance(typed, list)
        plan = self._plan = plan_sweep({str(key): value for key, value in params.items()}, typed)
        self._jobs = {job_folder(job): job for job in plan.jobs}
        self._logger = config.logger
        self._folder = Path(config.paths.outputs) / "sweeps" / config.name / plan.id
        with read_write(config), open_dict(config):
            config.hydra.sweep.dir = str(self._folder)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={hydra_value(str(self._folder))}")
        chosen = config.hydra.runtime.choices
        self._choices = {
            str(group): str(chosen[group]) for group in chosen if group in (*config, "experiment")
        }
        self._configuration = configuration_files_digest()
        known = self._folder / SWEEP_FILE
        before = None
        with suppress(FileNotFoundError, ValueError, AttributeError):  # a damaged one is written anew
            before = json.loads(known.read_bytes()).get("configuration")
        if before != self._configuration:
            for name in self._jobs:  # each is checked again when its turn comes
                invalidate(self._folder / name)
        done = sum(status_of(self._folder / name) == "done" for name in self._jobs)
        self._done_at = {name: done_at(self._folder / name) for name in self._jobs}
        if config.sweep.fail_fast:  # an old failure is to be tried again, not to stop everything
            for name in self._jobs:
                clear_failure(self._folder / name)
        self._write("running")
        log.info(
            "%-12s %s: %d jobs, %d of them done before: %s",
            "sweep", plan.id, len(self._jobs), done, self._folder,
        )  # fmt: skip
        for line in typed:
            if said := divided_text(line):
                log.info("%-12s %s", "sweep", said)
        atexit.register(self._finish_at_exit)  # Hydra does not call on_multirun_end when a launcher raises

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report and collect the results; exit with 1 when a job is not done."""
        del config
        atexit.unregister(self._finish_at_exit)
        with _exit_on_error():
            lacking = self._finish()
        if lacking:
            sys.exit(1)

    def _finish_at_exit(self) -> None:
        """Finish as far as the disk lets it; what ended the sweep was said."""
        try:
            self._finish()
        except OSError as error:
            log.error("%-12s %s", "sweep", error_line(error))

    def _finish(self) -> int:
        """Write sweep.json and log the jobs that are not done; return their number."""
        jobs = self._write("ended")
        lacking = [job for job in jobs if job["status"] != "done"]
        if was_asked():  # to stop, which must not take long
            return len(lacking)
        if not any((self._folder / name).exists() for name in self._jobs):  # what ended it stands above
            return len(lacking)
        done = len(jobs) - len(lacking)
        folders = {name: self._folder / name for name in self._jobs}
        new = sum(
            status_of(folder) == "done" and done_at(folder) != self._done_at[name]
            for name, folder in folders.items()
        )
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
        """Write the tables and the report of the jobs that are done, and log them; a failure here loses no job."""
        from medsam_exp.sweep.collect import collect, print_collected  # imports much that no single run needs

        try:
            collected = collect([self._folder], self._folder)
            if anything_new:
                self._track(collected)
        except Exception as error:  # the jobs' own results are all there
            log.error("%-12s was not collected (%s); try: make collect RUN=%s", "sweep", error, self._folder)
            log.debug("its traceback:", exc_info=True)
            return
        print_collected(collected, self._folder, open_console())

    def _track(self, collected: "Collected") -> None:
        """Log the tables with the jobs' logger, as one more run in the group of the jobs."""
        from medsam_exp.config.build import build
        from medsam_exp.report.logger.job import SweepJob, TrackedRun

        name = self._folder.parent.name
        tracked = TrackedRun(
            folder=self._folder,
            name=f"{name} (tables)",
            config={"sweep": {key: list(values) for key, values in self._plan.axes.items()}},
            choices={
                group: choice for group, choice in self._choices.items() if group not in self._plan.axes
            },
            stages=("sweep",),
            sweep=SweepJob(self._plan.id, {}, name=name),
        )
        tables = {
            title: (sheet.header, [[item.text for item in line] for line in sheet.lines])
            for title, sheet in collected.sheets.items()
        }
        with build(self._logger)(run=tracked) as tracker:
            tracker.show_sweep(tables, self._folder / "report.html")

    def _write(self, state: str) -> list[dict[str, Any]]:
        jobs = [
            {
                "number": number,
                "overrides": job,
                "folder": name,
                "status": status_of(self._folder / name),
                "error": error_of(self._folder / name),
                "command": self._plan.command(job),
            }
            for number, (name, job) in enumerate(self._jobs.items())
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
def _exit_on_error() -> Iterator[None]:
    """Exit on an error; Hydra would turn a callback's error into a warning and run a sweep without records."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, UserError | HydraException | OSError):
            log.exception("the sweep cannot be recorded")
        sys.exit(f"error: {error}")
