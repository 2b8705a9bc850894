"""What every pruner offers, and how the images of a trial grow from look to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.trial import TrialState


class Pruner(Protocol):
    """Decides by Optuna's rule whether a trial goes on."""

    @property
    def stopped_as(self) -> TrialState:
        """What a trial that was stopped early counts as in the study."""
        ...

    def rule(self) -> BasePruner:
        """Optuna's pruner."""
        ...

    def looks(self, images: int) -> list[int]:
        """How many images have been scored at each look; the last look is at all of them."""
        ...

    def reports(self, scores: Sequence[float], clusters: Clusters | None = None) -> Mapping[int, float]:
        """What the rule is told after a look, by step.

        Args:
            scores: (n,) of the images so far, in the one order that all trials share.
            clusters: (n,) each image's patient; None where patients are unknown.
        """
        ...


def growing(first: int, images: int) -> list[int]:
    """`first` images, then twice as many each time, then all: of 60 images at first 8, then 16, 32, 60."""
    looks = []
    while first < images:
        looks.append(first)
        first *= 2
    return [*looks, images]


def refuse_too_few(first: int) -> None:
    """A rule on less than two images says nothing.

    Raises:
        UserError: `first` is below 2.
    """
    if first < 2:
        raise UserError(f"first is {first}, but a trial is judged on at least 2 images")
