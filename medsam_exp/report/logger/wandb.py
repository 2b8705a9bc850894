"""Figures in the run's own folder and at W&B, whose failure never fails a run.

Online with a key, offline otherwise, without a question asked. What cannot be sent is kept in the run's folder for
`medsam-exp sync`.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pytorch_lightning.loggers.logger import DummyLogger, Logger

from medsam_exp.report.logger.base import Table
from medsam_exp.report.logger.csv import CsvTracker, final_figures
from medsam_exp.report.logger.image_table import per_image_table
from medsam_exp.report.logger.job import TrackedRun
from medsam_exp.report.logger.sync import NOT_SENT, RUNNING, mark
from medsam_exp.report.logger.wandb_auth import has_key
from medsam_exp.report.logger.wandb_content import (
    keep_file,
    keep_masks,
    keep_weights,
    quiet_and_here,
    show_report,
    show_tables,
)
from medsam_exp.report.results import RunResults
from medsam_exp.report.topics.supervision import marks
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.wording import first_line

log = logging.getLogger(__name__)

_TRAINER_STEP = "trainer/global_step"


class WandbTracker(CsvTracker):
    """The same as CSV, and a W&B run of its own: curves, final figures, table of images, report, artifacts.

    Args:
        run: the run to track; W&B's own files are kept in `wandb/` of its folder.
        project: W&B project.
        entity: W&B team or user; None takes the key's own.
        group: W&B group of a run on its own; a job of a sweep is in the group of its sweep.
        tags: further W&B tags.
        images: how many images are shown with their masks in the table, the worst first; with 0 no pixel is sent, so
            the report, which holds pictures, stays here too; masks as files are sent if `log_masks` asks for it.
        longest_side: of those images in pixels.
        log_weights: whether networks that the run trained are stored as artifacts.
        log_masks: whether the final masks are stored as an artifact.
        patience_s: seconds to wait for the server at the beginning, and again at the end.
    """

    def __init__(
        self,
        run: TrackedRun,
        project: str = "medsam_exp",
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        images: int = 50,
        longest_side: int = 512,
        log_weights: bool = False,
        log_masks: bool = False,
        patience_s: float = 30.0,
    ) -> None:
        super().__init__(run)
        self._about: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "group": run.sweep.group if run.sweep else group,
            "job_type": run.stages[-1] if run.stages else None,
            "name": run.title,
            "notes": run.command,
            "tags": [*run.tags, *tags],
            "config": run.flat_config,
            "dir": str(run.folder),
        }
        self._images, self._longest_side = images, longest_side
        self._log_weights, self._log_masks, self._patience = log_weights, log_masks, patience_s
        self._wandb: Any = None
        self._broken = False
        self._kept = run.folder / "wandb"
        self._open = contextlib.ExitStack()

    @property
    def loggers(self) -> list[Logger]:
        """Loggers for a Lightning Trainer."""
        return [self._csv, _Curves(self._tell)]

    def log(self, figures: Mapping[str, float]) -> None:
        """Record figures at the next step."""
        super().log(figures)
        if figures:
            self._tell(lambda run: run.log(dict(figures)))

    def summarise(
        self,
        summary: Mapping[str, Any],
        artifacts: Mapping[str, StageArtifacts],
        results: RunResults | None = None,
    ) -> None:
        """Record final figures, the table of images, the report unless no pixel may be sent, artifacts if wanted."""
        self._tell(lambda run: run.config.update(marks(summary), allow_val_change=True))
        self._tell(lambda run: run.summary.update({**final_figures(summary), **marks(summary)}))
        for name in ("summary.json", "per_image.csv"):
            self._tell(partial(keep_file, path=self._run.folder / name))
        if results is not None:
            sizes = {"images": self._images, "longest_side": self._longest_side}
            self._tell(lambda run: run.log({"per_image": per_image_table(results, **sizes)}))
        if self._images > 0:
            self._tell(lambda run: show_report(run, self._run.folder / "report.html"))
        if self._log_weights:
            self._tell(lambda run: keep_weights(run, artifacts))
        if self._log_masks:
            self._tell(lambda run: keep_masks(run, self._run.folder / "masks"))

    def show_sweep(self, tables: Mapping[str, Table], report: Path) -> None:
        """Record a sweep's tables, and its report unless no pixel may be sent."""
        self._tell(lambda run: show_tables(run, tables))
        if self._images > 0:
            self._tell(lambda run: show_report(run, report))

    def __enter__(self) -> Self:
        """Open the W&B run: online, else offline, else not at all."""
        super().__enter__()
        self._open.enter_context(quiet_and_here(self._kept))
        try:
            self._wandb = self._opened()
        except BaseException:
            self._open.close()
            raise
        return self

    def close(self, *, failed: bool) -> None:
        """Finish the W&B run, so that it does not count as running and the next job gets one of its own."""
        super().close(failed=failed)
        with self._open:
            self._broken = False  # a run that broke must be finished like any other
            self._tell(lambda run: self._finish(run, int(failed)))

    def _opened(self) -> Any:
        """A W&B run, or None when even an offline one cannot be had."""
        for mode in _modes():
            before = set(self._kept.glob("run-*"))
            try:
                run = self._begun(mode)
            except Exception as error:  # whatever the service does, the run goes on
                log.warning("W&B cannot begin a run %s (%s)", mode, first_line(error))
                for begun in {*self._kept.glob("run-*")} - before:
                    shutil.rmtree(begun, ignore_errors=True)  # empty, as nothing was logged yet
            else:
                if mode == "offline" and _modes() != ("offline",):
                    log.warning("this run is kept offline; send it later by: make wandb-sync")
                return run
        return None

    def _begun(self, mode: Literal["online", "offline"]) -> Any:
        require("wandb")
        import wandb  # slow, so only where it is used

        if wandb.run is not None:  # left open by somebody else; figures of two runs must not mix
            wandb.finish(exit_code=1)
        settings = wandb.Settings(
            silent=True,
            init_timeout=self._patience,
            login_timeout=self._patience,
            finish_timeout=self._patience,
            finish_timeout_raises=True,
            x_graphql_timeout_seconds=self._patience,
            x_file_stream_timeout_seconds=self._patience,
            symlink=False,
        )
        run = wandb.init(**self._about, mode=mode, settings=settings)
        run.define_metric(_TRAINER_STEP)
        for curves in ("train/*", "val/*"):
            run.define_metric(curves, step_metric=_TRAINER_STEP)
        mark(Path(run.dir).parent).write_text(RUNNING)
        return run

    def _finish(self, run: Any, exit_code: int) -> None:
        folder = Path(run.dir).parent
        try:
            run.finish(exit_code=exit_code)
        except TimeoutError:
            mark(folder).write_text(NOT_SENT)
            log.warning("W&B did not take everything in time; send the rest by: make wandb-sync")
        else:
            mark(folder).unlink(missing_ok=True)

    def _tell(self, action: Callable[[Any], Any]) -> None:
        if self._wandb is None or self._broken:
            return
        try:
            action(self._wandb)
        except Exception as error:  # whatever the service does, the run goes on
            self._broken = True
            log.warning(
                "W&B stopped taking figures (%s: %s); the run goes on, everything is in its folder",
                type(error).__name__,
                first_line(error),
            )


class _Curves(DummyLogger):
    """Curves of a Lightning training for W&B, through a guard; the configuration is there already."""

    def __init__(self, tell: Callable[[Callable[[Any], Any]], None]) -> None:
        super().__init__()
        self._guarded = tell

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record figures; the step is one of them, as W&B's own must never run backwards."""
        at = {} if step is None else {_TRAINER_STEP: step}
        self._guarded(lambda run: run.log({**metrics, **at}))


def _modes() -> tuple[Literal["online", "offline"], ...]:
    """Ways to begin a run, the first that works is taken."""
    asked = os.environ.get("WANDB_MODE")
    if asked == "disabled":
        return ()
    if not has_key() or asked in ("offline", "dryrun"):
        return ("offline",)
    return ("online", "offline")
