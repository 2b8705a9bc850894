"""An Optuna study in an SQLite file, which goes on where it was when its process was killed."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GridSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from medsam_exp.search.space import Choices, Range, Space, Value, grid

log = logging.getLogger(__name__)

SamplerName = Literal["grid", "tpe"]
Score = dict[str, Any]
"""One measure summarised over images: mean, std, ci95, n."""


@dataclass(frozen=True)
class Trial:
    """One set of values that was tried.

    Attributes:
        values: by dotted key.
        score: what it reached; None when it failed.
        error: why it failed; None when it did not.
    """

    values: dict[str, Value]
    score: Score | None
    error: str | None = None


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes:
        space: what varies.
        sampler: "grid" tries every combination; "tpe" proposes values by what was good so far (Bergstra 2011).
        maximize: whether a higher score is better.
        trials: how many "tpe" tries; a grid is always tried whole.
        timeout: seconds after which no new trial starts; None for no limit.
        seed: of the order of a grid and of the proposals of "tpe".
    """

    space: Space
    sampler: SamplerName
    maximize: bool
    trials: int | None = None
    timeout: float | None = None
    seed: int = 0

    def run(
        self, file: Path, evaluate: Callable[[dict[str, Value]], Score], *, survive: bool = True
    ) -> list[Trial]:
        """Try values until the search is complete.

        Trials that `file` already has are not repeated; one that was cut off is. Each proposal depends on the seed
        and the finished trials alone, so an interrupted search tries what an undisturbed one tries.

        Args:
            file: SQLite file of the study; made when missing.
            evaluate: scores one set of values; the study goes by the score's `mean`.
            survive: record a trial that raises as failed and go on, instead of ending the search.

        Returns:
            All finished trials: of a grid in the order of the space, else as they were tried.
        """
        study = self._study(file)

        def objective(trial: optuna.Trial) -> float:
            values = {key: _suggest(trial, key, entry) for key, entry in self._entries().items()}
            score = self._scored(trial, values, evaluate)
            trial.set_user_attr("score", score)
            log.info("%-12s %s: %.4f", "trial", describe(values), score["mean"])
            return float(score["mean"])

        def renew_sampler(study: optuna.Study, _: FrozenTrial) -> None:
            study.sampler = self._sampler(len(_finished(study)))

        remaining = self._remaining(study)
        if remaining != 0:
            study.optimize(
                objective,
                n_trials=remaining,
                timeout=self.timeout,
                catch=(Exception,) if survive else (),
                callbacks=[renew_sampler],
            )
        return self._in_order([_as_trial(trial) for trial in _finished(study)])

    def best(self, trials: list[Trial]) -> Trial | None:
        """The trial with the best mean; of equals the one whose values stand first; None when all failed."""
        scored = [trial for trial in trials if trial.score is not None]
        sign = 1 if self.maximize else -1
        return max(scored, key=lambda trial: sign * trial.score["mean"], default=None)  # type: ignore[index]

    def _study(self, file: Path) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # a failed trial is told once, by us
        file.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{file.resolve()}",
            study_name="tune",
            direction="maximize" if self.maximize else "minimize",
            load_if_exists=True,
        )
        study.sampler = self._sampler(len(_finished(study)))
        return study

    def _entries(self) -> Space:
        """The space as the sampler sees it: a grid knows no ranges."""
        if self.sampler != "grid":
            return self.space
        return {key: Choices(tuple(values)) for key, values in grid(self.space).items()}

    def _sampler(self, finished: int) -> BaseSampler:
        """A sampler whose proposal depends on the seed and the number of finished trials, not on a restart."""
        if self.sampler == "grid":
            return GridSampler(grid(self.space), seed=self.seed)
        return TPESampler(seed=int(np.random.SeedSequence([self.seed, finished]).generate_state(1)[0]))

    def _remaining(self, study: optuna.Study) -> int | None:
        """How many trials are still to be run; None lets the grid decide."""
        if isinstance(study.sampler, GridSampler):
            return 0 if study.sampler.is_exhausted(study) else None
        assert self.trials is not None
        return max(0, self.trials - len(_finished(study)))

    def _scored(
        self, trial: optuna.Trial, values: dict[str, Value], evaluate: Callable[[dict[str, Value]], Score]
    ) -> Score:
        try:
            score = evaluate(values)
        except Exception as error:
            sentence = f"{error}" or type(error).__name__
            trial.set_user_attr("error", sentence)
            log.warning("trial %s failed: %s", describe(values), sentence)
            raise
        if not math.isfinite(score["mean"]):
            raise ValueError(f"the score of {describe(values)} is {score['mean']}")
        return score

    def _in_order(self, trials: list[Trial]) -> list[Trial]:
        if self.sampler != "grid":
            return trials
        listed = grid(self.space)
        return sorted(trials, key=lambda trial: [listed[key].index(trial.values[key]) for key in listed])


def describe(values: Mapping[str, Value]) -> str:
    """Values in words: "saliency.beta=0.3, saliency.layer=2"."""
    return ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def _suggest(trial: optuna.Trial, key: str, entry: Choices | Range) -> Value:
    if isinstance(entry, Choices):
        choice: Value = trial.suggest_categorical(key, list(entry.values))
        return choice
    if entry.whole:
        step = int(entry.step or 1)
        return trial.suggest_int(key, int(entry.low), int(entry.high), step=step, log=entry.log)
    return trial.suggest_float(key, entry.low, entry.high, step=entry.step, log=entry.log)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to an end; one that was cut off by a kill stays "running" for ever and is not among them."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))


def _as_trial(trial: FrozenTrial) -> Trial:
    failed = trial.state == TrialState.FAIL
    score = None if failed else dict(trial.user_attrs["score"])
    return Trial(
        dict(trial.params), score, trial.user_attrs.get("error", "no reason given") if failed else None
    )
