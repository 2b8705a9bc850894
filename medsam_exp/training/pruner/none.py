"""No pruner: every trial looks at all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medsam_exp.metrics.clusters import Clusters

if TYPE_CHECKING:
    from optuna.pruners import NopPruner
    from optuna.trial import TrialState


@dataclass(frozen=True)
class NoPruner:
    """Stops no trial; so trials do not depend on each other, and a grid gives the same table in whatever order."""

    @property
    def stopped_as(self) -> TrialState:
        """Never asked for, since no trial is stopped."""
        from optuna.trial import TrialState

        return TrialState.PRUNED

    def rule(self) -> NopPruner:
        """Never says stop."""
        from optuna.pruners import NopPruner

        return NopPruner()

    def looks(self, images: int) -> list[int]:
        """One look, at all images."""
        return [images]

    def reports(
        self,
        scores: Sequence[float],  # noqa: ARG002 (shared interface)
        clusters: Clusters | None = None,  # noqa: ARG002
    ) -> Mapping[int, float]:
        """Nothing."""
        return {}
