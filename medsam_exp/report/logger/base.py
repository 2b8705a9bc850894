"""The base of all trackers, which records nothing: it serves processes other than the first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from medsam_exp.report.results import RunResults
from medsam_exp.runtime.artifacts import StageArtifacts

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Headings and rows, as they are printed."""


class NullTracker:
    """Records nothing; a tracker overrides the methods of what it records."""

    @property
    def loggers(self) -> "list[Logger]":
        """Loggers for a Lightning Trainer."""
        return []

    def log(self, figures: Mapping[str, float]) -> None:
        """Record figures at the next step."""

    def summarise(
        self,
        summary: Mapping[str, Any],
        artifacts: Mapping[str, StageArtifacts],
        results: RunResults | None = None,
    ) -> None:
        """Record what the run found, beside what its folder has already.

        Args:
            summary: content of summary.json.
            artifacts: what each stage computed.
            results: the images, masks and scores of a run over images.
        """

    def show_sweep(self, tables: Mapping[str, Table], report: Path) -> None:
        """Record what a sweep found, beside what its folder has already.

        Args:
            tables: headings and rows by name.
            report: the sweep's page.
        """

    def __enter__(self) -> Self:
        """Open the tracker."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the tracker."""
        self.close(failed=kind is not None)

    def close(self, *, failed: bool) -> None:
        """Complete what was recorded.

        Args:
            failed: whether the run ended by an error.
        """
