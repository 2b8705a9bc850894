"""No pruner: every trial looks at all images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.pruners import NopPruner
from optuna.trial import TrialState

from medsam_exp.metrics.clusters import Clusters


@dataclass(frozen=True)
class NoPruner:
    """Stops no trial; so trials do not depend on each other, and a grid gives the same table in whatever order."""

    stopped_as = TrialState.PRUNED

    def rule(self) -> NopPruner:
        """Never says stop."""
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
