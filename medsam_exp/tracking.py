"""Where a run's figures go while it works; always closed, also when the run fails.

A tracker is a context manager. Our own files (summary.json, per_image.csv, curves) come first and with every tracker;
W&B comes second, and its failure never fails a run.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytorch_lightning.loggers import CSVLogger, Logger

log = logging.getLogger(__name__)


class CsvTracker:
    """Figures in `curves/metrics.csv` of the run's folder.

    Args:
        run_dir: the run's folder.
        name: the run's name.
        config: the run's configuration, as plain values.
    """

    def __init__(self, run_dir: Path, name: str, config: Mapping[str, Any]) -> None:
        del name, config  # for trackers that show them
        self._csv = CSVLogger(run_dir, name="curves", version="")
        self._step = 0

    @property
    def loggers(self) -> list[Logger]:
        """Loggers for a Lightning Trainer."""
        return [self._csv]

    def log(self, figures: Mapping[str, float]) -> None:
        """Record figures at the next step."""
        if figures:
            self._step += 1
            for logger in self.loggers:
                logger.log_metrics(dict(figures), step=self._step)

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Record the final figures."""
        del summary  # summary.json has them

    def __enter__(self) -> Self:
        """Open the tracker."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the tracker, saying whether the run failed."""
        self._csv.finalize("success" if kind is None else "failed")  # unlike `save`, it spares old curves


class WandbTracker(CsvTracker):
    """The same, and a W&B run: online with a key, offline otherwise, without a question asked.

    Args:
        run_dir: the run's folder; offline files are kept in its `wandb/`.
        name: the run's name.
        config: the run's configuration, as plain values.
        project: W&B project.
        group: W&B group, or None.
    """

    def __init__(
        self,
        run_dir: Path,
        name: str,
        config: Mapping[str, Any],
        project: str = "medsam_exp",
        group: str | None = None,
    ) -> None:
        super().__init__(run_dir, name, config)
        from pytorch_lightning.loggers import WandbLogger  # imports wandb, which is slow

        offline = not (os.environ.get("WANDB_API_KEY") or Path("~/.netrc").expanduser().is_file())
        os.environ.setdefault("WANDB_SILENT", "true")
        self._wandb = WandbLogger(
            project=project,
            name=name,
            group=group,
            save_dir=run_dir,
            mode=os.environ.get("WANDB_MODE") or ("offline" if offline else "online"),
            config=dict(config),
        )
        self._broken = False

    @property
    def loggers(self) -> list[Logger]:
        """Loggers for a Lightning Trainer."""
        return [self._csv, self._wandb]

    def log(self, figures: Mapping[str, float]) -> None:
        """Record figures at the next step."""
        if figures:
            self._step += 1
            self._csv.log_metrics(dict(figures), step=self._step)
            self._tell(lambda: self._wandb.experiment.log(dict(figures)))  # a step of ours could run behind

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Record the final figures as the W&B summary."""
        flat = {
            f"{name}/{part}": value
            for name, figures in summary.get("metrics", {}).items()
            for part, value in figures.items()
            if isinstance(value, int | float)
        }
        self._tell(lambda: self._wandb.experiment.summary.update(flat))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the W&B run, so that the next job gets one of its own."""
        super().__exit__(kind, error, trace)
        self._tell(lambda: self._wandb.experiment.finish(exit_code=0 if kind is None else 1))

    def _tell(self, action: Any) -> None:
        if self._broken:
            return
        try:
            action()
        except Exception as error:  # whatever the tracking service does, the run goes on
            self._broken = True
            log.warning(
                "W&B stopped taking figures (%s); the run goes on, everything is in its folder", error
            )


class SilentTracker:
    """Records nothing: for processes other than the first."""

    loggers: list[Logger]

    def __init__(self) -> None:
        self.loggers = []

    def log(self, figures: Mapping[str, float]) -> None:
        """Forget the figures."""

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Forget the summary."""

    def __enter__(self) -> Self:
        """Open nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close nothing."""
