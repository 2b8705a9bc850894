"""No pruner: every trial is scored on all images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medsam_exp.training.pruner.rungs import Pruner

if TYPE_CHECKING:
    from optuna.pruners import NopPruner


@dataclass(frozen=True)
class NoPruner(Pruner):
    """Prunes no trial; so trials do not depend on each other, and a grid gives the same table in whatever order."""

    def rule(self) -> NopPruner:
        """Optuna's rule that never prunes."""
        from optuna.pruners import NopPruner

        return NopPruner()
