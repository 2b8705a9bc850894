"""Trials that stop early, against a plain loop over the grid; killed and gone on with, the same stop."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from medsam_exp.training.pruner.median import Median
from medsam_exp.training.pruner.rungs import Pruner
from medsam_exp.training.pruner.wilcoxon import Wilcoxon
from medsam_exp.training.search.space import Value, parse_space
from medsam_exp.training.search.study import Search, Trial

IMAGES, POINTS = 20, 8
SPACE = parse_space({"saliency": {"beta": [float(point) for point in range(POINTS)]}})
PRUNERS: dict[str, Pruner] = {"wilcoxon": Wilcoxon(first=4, p=0.05), "median": Median(first=4, complete=2)}


def table(seed: int) -> NDArray[np.float64]:
    """(points, images) scores: hard and easy images, good and bad points, noise."""
    generator = np.random.default_rng(seed)
    hard, quality = generator.normal(0, 0.3, IMAGES), generator.normal(0, 0.15, POINTS)
    return 0.5 + hard + quality[:, None] + generator.normal(0, 0.1, (POINTS, IMAGES))


class Looker:
    """Scores a point's first images, and counts how many it was asked for; breaks off at one of its calls."""

    def __init__(self, scores: NDArray[np.float64], stop: int | None = None) -> None:
        self.scores, self.stop, self.calls, self.most = scores, stop, 0, dict.fromkeys(range(POINTS), 0)

    def __call__(self, values: dict[str, Value], count: int) -> Sequence[float]:
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        point = int(values["saliency.beta"])  # type: ignore[arg-type]
        self.most[point] = max(self.most[point], count)
        return [float(score) for score in self.scores[point, :count]]


def stopped_by_wilcoxon(scores: NDArray[np.float64]) -> dict[int, int]:
    """How many images each point is scored on: a plain loop, each against the best one before it."""
    best, seen = None, {}
    for point, own in enumerate(scores):
        for count in (4, 8, 16, 20):
            seen[point] = count
            if count == IMAGES or best is None:
                continue
            worse = (
                wilcoxon(own[:count] - best[:count], alternative="less", zero_method="zsplit").pvalue < 0.05
            )
            if worse and own[:count].mean() < best.mean():
                break
        if seen[point] == IMAGES and (best is None or own.mean() > best.mean()):
            best = own
    return seen


def stopped_by_median(scores: NDArray[np.float64]) -> dict[int, int]:
    """The same against the median of the means of those that were completed."""
    complete: list[NDArray[np.float64]] = []
    seen = {}
    for point, own in enumerate(scores):
        best = -np.inf
        for count in (4, 8, 16, 20):
            seen[point], best = count, max(best, own[:count].mean())
            median = (
                np.median([other[:count].mean() for other in complete]) if len(complete) >= 2 else -np.inf
            )
            if count < IMAGES and best < median:
                break
        if seen[point] == IMAGES:
            complete.append(own)
    return seen


REFERENCES: dict[str, Callable[[NDArray[np.float64]], dict[int, int]]] = {
    "wilcoxon": stopped_by_wilcoxon,
    "median": stopped_by_median,
}


def searched(
    file: Path, looker: Looker, name: str, *, maximize: bool = True, sampler: str = "grid"
) -> list[Trial]:
    options = {"trials": POINTS} if sampler == "tpe" else {}
    chosen = Search(SPACE, sampler, maximize, images=IMAGES, pruner=PRUNERS[name], **options)  # type: ignore[arg-type]
    return chosen.run(file, looker)


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("name", REFERENCES)
def test_bad_trials_stop_where_a_plain_loop_stops_them(tmp_path: Path, name: str, maximize: bool) -> None:
    scores = table(3)
    looker = Looker(scores if maximize else -scores)
    trials = searched(tmp_path / "study.db", looker, name, maximize=maximize)
    expected = REFERENCES[name](scores)
    assert looker.most == expected
    assert set(expected.values()) > {IMAGES}, "some must stop and some not for this to mean anything"
    assert {int(trial.values["saliency.beta"]): trial.score["n"] for trial in trials} == expected  # type: ignore[index, arg-type]
    assert [trial.stopped for trial in trials] == [seen < IMAGES for seen in expected.values()]
    sign = 1 if maximize else -1
    for point, trial in enumerate(trials):
        assert trial.score["mean"] == pytest.approx(sign * scores[point, : expected[point]].mean())  # type: ignore[index]
    best = Search(SPACE, "grid", maximize).best(trials)
    assert best is not None
    assert not best.stopped


def test_the_best_is_rarely_stopped_by_a_paired_test() -> None:
    """On the plain loop, which is what the search was just compared with."""
    lost = {}
    for seed in range(20):
        means = table(seed).mean(1)
        complete = [point for point, seen in stopped_by_wilcoxon(table(seed)).items() if seen == IMAGES]
        lost[seed] = means.max() - means[complete].max()
    assert max(lost.values()) <= 0.05, lost


@pytest.mark.parametrize("name", REFERENCES)
def test_killed_and_gone_on_with_the_same_trials_stop(tmp_path: Path, name: str) -> None:
    scores = table(3)
    undisturbed = searched(tmp_path / "whole.db", Looker(scores), name)
    for stop in (2, 6, 5):
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "parts.db", Looker(scores, stop), name)
    assert searched(tmp_path / "parts.db", Looker(scores), name) == undisturbed


def test_a_stopped_trial_is_never_the_best_even_if_its_first_images_were_easy() -> None:
    easy = Trial({"a": 1}, {"mean": 0.9, "std": 0.0, "ci95": [0.9, 0.9], "n": 4}, stopped=True)
    whole = Trial({"a": 2}, {"mean": 0.6, "std": 0.0, "ci95": [0.6, 0.6], "n": 20})
    chosen = Search(SPACE, "grid", maximize=True)
    assert chosen.best([easy, whole]) == whole
    assert chosen.best([easy]) is None


@pytest.mark.parametrize(
    ("first", "images", "rungs"),
    [(8, 60, [8, 16, 32, 60]), (8, 8, [8]), (8, 3, [3]), (2, 9, [2, 4, 8, 9]), (4, 16, [4, 8, 16])],
)
def test_the_rungs_double(first: int, images: int, rungs: list[int]) -> None:
    assert Wilcoxon(first=first, p=0.05).rungs(images) == rungs


def test_where_patients_are_known_the_paired_test_takes_their_means() -> None:
    pruner = Wilcoxon(first=4, p=0.05)
    assert pruner.reports([0.1, 0.3, 0.6]) == {0: 0.1, 1: 0.3, 2: 0.6}
    assert pruner.reports([0.1, 0.3, 0.6], ["b", "a", "b"]) == pytest.approx({0: 0.35, 1: 0.3})
    assert Median(first=4, complete=2).reports([0.1, 0.3], ["a", "a"]) == {2: pytest.approx(0.2)}
