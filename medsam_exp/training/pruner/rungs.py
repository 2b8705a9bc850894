"""What every pruner offers, and the rungs (numbers of images) at which a trial may be pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


class Pruner(Protocol):
    """Decides by Optuna's rule whether a trial goes on."""

    keeps_score: ClassVar[bool]
    """Whether a pruned trial is complete in the study, with its mean so far; else it has no score there."""

    def rule(self) -> BasePruner:
        """Optuna's pruner."""
        ...

    def rungs(self, images: int) -> list[int]:
        """How many images are scored at each rung; at the last one, all of them."""
        ...

    def reports(self, scores: Sequence[float], clusters: Clusters | None = None) -> Mapping[int, float]:
        """What the rule is told at a rung, by step.

        Args:
            scores: (n,) of the images so far, in the one order that all trials share.
            clusters: (n,) each image's patient; None where patients are unknown.
        """
        ...


@dataclass(frozen=True)
class DoublingRungs:
    """Rungs that double; the base of pruners that have several.

    Args:
        first: images at the first rung, at least 2; each further rung has twice as many.

    Raises:
        UserError: `first` is below 2.
    """

    first: int

    def __post_init__(self) -> None:
        if self.first < 2:
            raise UserError(f"first is {self.first}, but a trial is judged on at least 2 images")

    def rungs(self, images: int) -> list[int]:
        """`first` images, then twice as many each time, then all: of 60 images at first 8, then 16, 32, 60."""
        found, count = [], self.first
        while count < images:
            found.append(count)
            count *= 2
        return [*found, images]
