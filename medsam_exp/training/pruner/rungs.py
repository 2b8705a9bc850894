"""The base of pruners, and the rungs (numbers of images) at which a trial may be pruned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


class Pruner(ABC):
    """Decides by Optuna's rule whether a trial goes on; as it is, with one rung, at all images, and no reports."""

    keeps_score: ClassVar[bool] = False
    """Whether a pruned trial is complete in the study, with its mean so far; else it has no score there."""

    @abstractmethod
    def rule(self) -> BasePruner:
        """Optuna's pruner, asked at every rung."""

    def rungs(self, images: int) -> list[int]:
        """How many images are scored at each rung; at the last one, all of them."""
        return [images]

    def reports(
        self,
        scores: Sequence[float],  # noqa: ARG002 (shared interface)
        clusters: Clusters | None = None,  # noqa: ARG002
    ) -> Mapping[int, float]:
        """What the rule is told at a rung, by step.

        Args:
            scores: (n,) of the images so far, in the one order that all trials share.
            clusters: (n,) each image's patient; None where patients are unknown.
        """
        return {}


@dataclass(frozen=True)
class DoublingRungs(Pruner):
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
