"""No pruner: every trial is scored on all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from medsam_exp.metrics.clusters import Clusters

if TYPE_CHECKING:
    from optuna.pruners import NopPruner


@dataclass(frozen=True)
class NoPruner:
    """Prunes no trial; so trials do not depend on each other, and a grid gives the same table in whatever order."""

    keeps_score: ClassVar[bool] = False

    def rule(self) -> NopPruner:
        """Optuna's rule that never prunes."""
        from optuna.pruners import NopPruner

        return NopPruner()

    def rungs(self, images: int) -> list[int]:
        """One rung, at all images."""
        return [images]

    def reports(
        self,
        scores: Sequence[float],  # noqa: ARG002 (shared interface)
        clusters: Clusters | None = None,  # noqa: ARG002
    ) -> Mapping[int, float]:
        """Nothing."""
        return {}
