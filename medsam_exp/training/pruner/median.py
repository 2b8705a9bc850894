"""Pruner: stop a trial that is worse than the median of the others after the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.training.pruner.rungs import DoublingRungs
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from optuna.pruners import MedianPruner


@dataclass(frozen=True)
class Median(DoublingRungs):
    """Prunes a trial whose best mean so far is worse than the median of the completed trials' means at this rung.

    Half of all trials are pruned, also where all are about equally good; so it is the quicker and the coarser rule.

    Args:
        first: images at the first rung, at least 2; each further rung has twice as many.
        complete: trials that are completed before any is pruned.

    Raises:
        UserError: a number is too small.
    """

    complete: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.complete < 1:
            raise UserError(f"complete is {self.complete}, but there is no median of no trial")

    def rule(self) -> MedianPruner:
        """Optuna's median pruner, asked at every rung."""
        from optuna.pruners import MedianPruner

        return MedianPruner(n_startup_trials=self.complete)

    def reports(
        self,
        scores: Sequence[float],
        clusters: Clusters | None = None,  # noqa: ARG002 (shared interface)
    ) -> Mapping[int, float]:
        """The mean so far, at the number of images."""
        return {len(scores): float(np.mean(scores))}
