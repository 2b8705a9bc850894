"""Figures in the run's own folder, which every tracker keeps."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from medsam_exp.report.logger.base import NullTracker
from medsam_exp.report.logger.job import TrackedRun

if TYPE_CHECKING:
    from pytorch_lightning.loggers import CSVLogger, Logger


class CsvTracker(NullTracker):
    """Figures in `curves/metrics.csv` of the run's folder.

    Args:
        run: the run to track.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._step = 0

    @cached_property
    def _csv(self) -> "CSVLogger":
        from pytorch_lightning.loggers import (
            CSVLogger,
        )  # takes seconds, which a run without curves need not wait for

        return CSVLogger(self._run.folder, name="curves", version="")

    @property
    def loggers(self) -> "list[Logger]":
        """Loggers for a Lightning Trainer."""
        return [self._csv]

    def log(self, figures: Mapping[str, float]) -> None:
        """Record figures at the next step."""
        if figures:
            self._step += 1
            self._csv.log_metrics(dict(figures), step=self._step)

    def close(self, *, failed: bool) -> None:
        """Complete the file of curves."""
        if "_csv" in vars(self):  # else there are no curves
            self._csv.finalize("failed" if failed else "success")  # unlike `save`, it spares old curves


def final_figures(summary: Mapping[str, Any]) -> dict[str, float]:
    """All final numbers of a summary under one name each: {"sam/dsc/mean": 0.6, "sam/dsc/ci95/low": 0.5, ...}."""
    flat: dict[str, float] = {}
    for name, parts in summary.get("metrics", {}).items():
        for part, value in parts.items():
            if isinstance(value, int | float):
                flat[f"{name}/{part}"] = value
            elif part == "ci95" and value is not None:
                flat[f"{name}/ci95/low"], flat[f"{name}/ci95/high"] = value
    return flat
