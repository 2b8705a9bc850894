"""Pruner: stop a trial that is worse than the median of the others after the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.training.pruner.rungs import growing, refuse_too_few
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from optuna.pruners import MedianPruner
    from optuna.trial import TrialState


@dataclass(frozen=True)
class Median:
    """Stops a trial whose best mean so far is worse than the median of the completed trials' means at this look.

    Half of all trials stop early, also where all are about equally good; so it is the quicker and the coarser rule.

    Args:
        first: images at the first look, at least 2; each further look is at twice as many.
        complete: trials that are completed before any is stopped.

    Raises:
        UserError: a number is too small.
    """

    first: int
    complete: int

    @property
    def stopped_as(self) -> TrialState:
        """Stopped, and without a score."""
        from optuna.trial import TrialState

        return TrialState.PRUNED

    def __post_init__(self) -> None:
        refuse_too_few(self.first)
        if self.complete < 1:
            raise UserError(f"complete is {self.complete}, but there is no median of no trial")

    def rule(self) -> MedianPruner:
        """Optuna's rule, asked at every look."""
        from optuna.pruners import MedianPruner

        return MedianPruner(n_startup_trials=self.complete)

    def looks(self, images: int) -> list[int]:
        """`first` images, then twice as many each time, then all."""
        return growing(self.first, images)

    def reports(
        self,
        scores: Sequence[float],
        clusters: Clusters | None = None,  # noqa: ARG002 (shared interface)
    ) -> Mapping[int, float]:
        """The mean so far, at the number of images."""
        return {len(scores): float(np.mean(scores))}
