"""Pruner: stop a trial that is worse than the best one, image by image, by a signed-rank test."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.training.pruner.rungs import DoublingRungs
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True)
class Wilcoxon(DoublingRungs):
    """Prunes a trial that Wilcoxon's one-sided signed-rank test calls worse than the best completed one.

    Both are compared on the same images, so hard images do not make a trial look bad. Never prunes a trial whose mean
    so far is at least the best one's mean. A pruned trial is complete with its mean so far, as Optuna advises for this
    rule.

    Args:
        first: images at the first rung, at least 2; each further rung has twice as many.
        p: below which a trial is pruned, in (0, 1]. Several rungs prune somewhat more than one in 1 / p equally good
            trials.

    Raises:
        UserError: a number is out of its range.
    """

    p: float
    keeps_score: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.p <= 1:
            raise UserError(f"p is {self.p}, but it must be above 0 and at most 1")

    def rule(self) -> BasePruner:
        """Optuna's rule, asked at every rung."""
        from optuna.exceptions import ExperimentalWarning
        from optuna.pruners import WilcoxonPruner

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return WilcoxonPruner(p_threshold=self.p, n_startup_steps=self.first)

    def reports(self, scores: Sequence[float], clusters: Clusters | None = None) -> Mapping[int, float]:
        """Every image's score, at its place in the order; where patients are known, every patient's mean instead.

        A patient counts by the images that the first rung with it has scored, as Optuna keeps the first report.
        """
        if clusters is None:
            return dict(enumerate(scores))
        by_patient: dict[str, list[float]] = {}
        for patient, score in zip(clusters, scores, strict=True):
            by_patient.setdefault(patient, []).append(score)
        return {place: fmean(own) for place, own in enumerate(by_patient.values())}
