"""The tracker of processes other than the first: it records nothing."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from pytorch_lightning.loggers import Logger

from medsam_exp.artifacts import StageArtifacts
from medsam_exp.pictures import RunResults


class SilentTracker:
    """Records nothing: for processes other than the first."""

    loggers: list[Logger]

    def __init__(self) -> None:
        self.loggers = []

    def log(self, figures: Mapping[str, float]) -> None:
        """Forget the figures."""

    def summarise(
        self,
        summary: Mapping[str, Any],
        artifacts: Mapping[str, StageArtifacts],
        results: RunResults | None = None,
    ) -> None:
        """Forget the summary."""

    def __enter__(self) -> Self:
        """Open nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close nothing."""
