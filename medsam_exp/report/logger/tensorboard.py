"""Figures in the run's own folder, also as TensorBoard reads them."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pytorch_lightning.loggers import Logger, TensorBoardLogger

from medsam_exp.report.logger.csv import CsvTracker, final_figures
from medsam_exp.report.logger.job import TrackedRun
from medsam_exp.report.results import RunResults
from medsam_exp.report.topics.supervision import marks
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.extras import require


class TensorboardTracker(CsvTracker):
    """The same as CSV, and event files in `tensorboard/` of the run's folder: `tensorboard --logdir outputs`.

    Args:
        run: the run to track.

    Raises:
        UserError: TensorBoard is not installed.
    """

    requires: ClassVar[str] = "tensorboard"

    def __init__(self, run: TrackedRun) -> None:
        super().__init__(run)
        require("tensorboard")
        self._board = TensorBoardLogger(run.folder, name="tensorboard", version="", default_hp_metric=False)

    @property
    def loggers(self) -> list[Logger]:
        """Loggers for a Lightning Trainer."""
        return [self._csv, self._board]

    def log(self, figures: Mapping[str, float]) -> None:
        """Record figures at the next step."""
        super().log(figures)
        if figures:
            self._board.log_metrics(dict(figures), step=self._step)

    def summarise(
        self,
        summary: Mapping[str, Any],
        artifacts: Mapping[str, StageArtifacts],
        results: RunResults | None = None,
    ) -> None:
        """Record configuration and final figures side by side, for TensorBoard's table of hyper-parameters."""
        del artifacts, results
        self._board.log_hyperparams({**self._run.flat_config, **marks(summary)}, final_figures(summary))
        if self._run.command:
            self._board.experiment.add_text("command", self._run.command)

    def close(self, *, failed: bool) -> None:
        """Close the event file."""
        super().close(failed=failed)
        self._board.finalize("failed" if failed else "success")
