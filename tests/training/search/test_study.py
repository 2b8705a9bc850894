"""A study against brute force; broken off and gone on with, it tries what an undisturbed one tries."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from medsam_exp.training.search.space import Space, Value, parse_space
from medsam_exp.training.search.study import Score, Search

SPACE = parse_space({"saliency": {"beta": [0.1, 0.3, 1.0], "layer": {"low": 2, "high": 5}}})
RANGES = parse_space(
    {"saliency": {"beta": {"low": 0.01, "high": 10.0, "log": True}, "layer": {"low": 0, "high": 11}}}
)


def hill(values: dict[str, Value]) -> float:
    """Highest at beta 0.3 and layer 4."""
    return 1.0 - abs(float(values["saliency.beta"]) - 0.3) - 0.1 * abs(int(values["saliency.layer"]) - 4)  # type: ignore[arg-type]


def score(mean: float) -> Score:
    return {"mean": mean, "std": 0.0, "ci95": None, "n": 1}


class Recorder:
    """Scores values and remembers them; breaks off at some calls."""

    def __init__(
        self,
        function: Callable[[dict[str, Value]], float] = hill,
        breaks: dict[int, BaseException] | None = None,
    ):
        self.function, self.breaks, self.asked = function, breaks or {}, []

    def __call__(self, values: dict[str, Value], count: int) -> list[float]:
        self.asked.append(dict(values))
        if len(self.asked) in self.breaks:
            raise self.breaks[len(self.asked)]
        return [self.function(values)] * count


def search(space: Space = SPACE, **options) -> Search:
    return Search(**{"space": space, "sampler": "grid", "maximize": True, **options})


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_grid_tries_every_combination_once_and_finds_the_best(
    tmp_path: Path, seed: int, maximize: bool
) -> None:
    recorder, chosen = Recorder(), search(seed=seed, maximize=maximize)
    trials = chosen.run(tmp_path / "study.db", recorder)
    points = [
        {"saliency.beta": beta, "saliency.layer": layer}
        for beta, layer in itertools.product([0.1, 0.3, 1.0], [2, 3, 4, 5])
    ]
    assert [trial.values for trial in trials] == points
    assert sorted(map(repr, recorder.asked)) == sorted(map(repr, points))
    best = chosen.best(trials)
    assert best is not None
    assert best.values == (max if maximize else min)(points, key=hill)
    assert best.score == score(hill(best.values))


def test_of_equal_trials_the_first_of_the_space_is_best_whatever_the_seed(tmp_path: Path) -> None:
    for seed in range(3):
        chosen = search(seed=seed)
        best = chosen.best(chosen.run(tmp_path / f"{seed}.db", Recorder(lambda _: 0.5)))
        assert best is not None
        assert best.values == {"saliency.beta": 0.1, "saliency.layer": 2}


@pytest.mark.parametrize(
    "options", [{}, {"space": RANGES, "sampler": "tpe", "trials": 12}], ids=["grid", "tpe"]
)
def test_broken_off_and_gone_on_with_equals_undisturbed(tmp_path: Path, options: dict[str, object]) -> None:
    undisturbed = search(**options).run(tmp_path / "whole.db", Recorder())
    asked = []
    for stop in (1, 4, 3):
        recorder = Recorder(breaks={stop: KeyboardInterrupt()})
        with pytest.raises(KeyboardInterrupt):
            search(**options).run(tmp_path / "parts.db", recorder)
        asked += recorder.asked[:-1]
    last = Recorder()
    assert search(**options).run(tmp_path / "parts.db", last) == undisturbed
    asked += last.asked
    assert sorted(map(repr, asked)) == sorted(repr(trial.values) for trial in undisturbed), (
        "a trial was repeated"
    )
    again = Recorder()
    assert search(**options).run(tmp_path / "parts.db", again) == undisturbed
    assert again.asked == []


def test_cut_off_between_queue_and_trial_tries_the_point_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr("optuna.Study.ask", killed)
        with pytest.raises(KeyboardInterrupt):
            search().run(tmp_path / "study.db", Recorder())
    recorder = Recorder()
    search().run(tmp_path / "study.db", recorder)
    assert len(recorder.asked) == 12


def test_tpe_stays_in_its_ranges_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    runs = [
        search(RANGES, sampler="tpe", trials=12, seed=seed).run(tmp_path / f"{name}.db", Recorder())
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert runs[0] == runs[1] != runs[2]
    for trial in runs[0]:
        assert 0.01 <= trial.values["saliency.beta"] <= 10.0  # type: ignore[operator]
        assert trial.values["saliency.layer"] in range(12)


def test_a_failing_trial_is_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    chosen = search()
    trials = chosen.run(tmp_path / "study.db", Recorder(breaks={2: RuntimeError("out of memory")}))
    assert len(trials) == 12
    assert [trial.error for trial in trials if trial.score is None] == ["out of memory"]
    assert chosen.best(trials).values == {"saliency.beta": 0.3, "saliency.layer": 4}  # type: ignore[union-attr]


def test_a_score_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    chosen = search()
    trials = chosen.run(tmp_path / "study.db", Recorder(lambda _: float("nan")))
    assert {trial.error for trial in trials} == {"its score is nan"}
    assert chosen.best(trials) is None


def test_a_failing_trial_ends_a_search_that_must_not_go_on(tmp_path: Path) -> None:
    recorder = Recorder(breaks={2: RuntimeError("gone")})
    with pytest.raises(RuntimeError, match="gone"):
        search().run(tmp_path / "study.db", recorder, survive=False)
    assert len(recorder.asked) == 2


def test_no_trial_starts_after_the_timeout(tmp_path: Path) -> None:
    recorder = Recorder()
    assert search(timeout=1e-9).run(tmp_path / "study.db", recorder) == []
    assert recorder.asked == []
