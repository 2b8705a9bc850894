"""Several processes on one study: each trial once, a killed worker's trial taken over, the same table for all."""

import contextlib
import itertools
import json
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from medsam_exp.training.search.space import Value, parse_space
from medsam_exp.training.search.study import Search, Trial
from medsam_exp.training.search.workers import Workers

SPACE = parse_space({"saliency": {"beta": [0.1, 0.3, 1.0], "layer": [2, 3]}})
POINTS = [
    {"saliency.beta": beta, "saliency.layer": layer}
    for beta, layer in itertools.product([0.1, 0.3, 1.0], [2, 3])
]
FORK = multiprocessing.get_context("fork")


def search() -> Search:
    return Search(SPACE, "grid", maximize=True)


class Worker:
    """A process that searches, writes down what it tries, and hangs at a point."""

    def __init__(self, folder: Path, name: str, hangs_at: dict[str, Value] | None = None) -> None:
        self.log, self.file, self.hangs_at = folder / f"{name}.log", folder / "study" / "study.db", hangs_at
        self.result = folder / f"{name}.json"
        self.process = FORK.Process(target=self._work)

    def tried(self) -> list[dict[str, Value]]:
        lines = self.log.read_text().splitlines() if self.log.is_file() else []
        return [json.loads(line) for line in lines]

    def table(self) -> list[dict[str, Value]]:
        return json.loads(self.result.read_text())

    def _work(self) -> None:
        trials = search().run(self.file, self._evaluate)
        self.result.write_text(json.dumps([[trial.values, trial.score] for trial in trials]))

    def _evaluate(self, values: dict[str, Value], count: int) -> list[float]:
        with self.log.open("a") as log:
            log.write(json.dumps(values) + "\n")
        if values == self.hangs_at:
            time.sleep(100)
        time.sleep(0.3)
        return [hill(values)] * count


def hill(values: dict[str, Value]) -> float:
    return 1 - abs(float(values["saliency.beta"]) - 0.3) - 0.1 * int(values["saliency.layer"])  # type: ignore[arg-type]


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def as_table(trials: list[Trial]) -> list[list[object]]:
    return json.loads(json.dumps([[trial.values, trial.score] for trial in trials]))


def test_two_workers_share_the_trials_and_get_the_table_of_one(tmp_path: Path) -> None:
    alone = search().run(tmp_path / "alone" / "study.db", lambda values, _: [hill(values)])
    workers = [Worker(tmp_path, name) for name in ("a", "b")]
    for worker in workers:
        worker.process.start()
    for worker in workers:
        worker.process.join(60)
        assert worker.process.exitcode == 0
    tried = [worker.tried() for worker in workers]
    assert all(tried), "one of them did nothing"
    assert sorted(map(repr, tried[0] + tried[1])) == sorted(map(repr, POINTS)), (
        "a trial was tried twice or never"
    )
    assert workers[0].table() == workers[1].table() == as_table(alone)
    assert [path.name for path in (tmp_path / "study").glob("worker-*")] == []


def test_a_killed_workers_trial_is_taken_over_by_the_other(tmp_path: Path) -> None:
    alone = search().run(tmp_path / "alone" / "study.db", lambda values, _: [hill(values)])
    hung = Worker(tmp_path, "hung", hangs_at=POINTS[1])
    hung.process.start()
    wait_for(lambda: hung.tried() == POINTS[:2])
    other = Worker(tmp_path, "other")
    other.process.start()
    wait_for(lambda: len(other.tried()) == len(POINTS) - 2)
    time.sleep(0.5)
    assert other.process.is_alive(), "it must wait, as the last trial is not finished"
    assert other.tried() == POINTS[2:]
    hung.process.kill()
    hung.process.join()
    other.process.join(60)
    assert other.process.exitcode == 0
    assert other.tried() == [*POINTS[2:], POINTS[1]]
    assert other.table() == as_table(alone)


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_a_trial_that_was_cut_off_before_it_had_its_values_leaves_no_trace(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Search(SPACE, sampler, maximize=True, trials=4)  # type: ignore[arg-type]
    undisturbed = chosen.run(tmp_path / "whole" / "study.db", lambda values, _: [hill(values)])
    suggest, calls = optuna.Trial._suggest, itertools.count()

    def killed(*given: object) -> object:
        if next(calls) == 3:  # the second value of the second trial
            raise KeyboardInterrupt
        return suggest(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as cut:
        cut.setattr(optuna.Trial, "_suggest", killed)
        with pytest.raises(KeyboardInterrupt):
            chosen.run(tmp_path / "parts" / "study.db", lambda values, _: [hill(values)])
    assert chosen.run(tmp_path / "parts" / "study.db", lambda values, _: [hill(values)]) == undisturbed


def test_the_last_worker_clears_away_a_search_in_which_everything_failed(tmp_path: Path) -> None:
    def fails(values: dict[str, Value], count: int) -> list[float]:
        raise RuntimeError("no")

    file, other = tmp_path / "study.db", Workers(tmp_path)
    with other.registered():
        assert all(trial.error == "no" for trial in search().run(file, fails))
        assert file.is_file(), "another worker still reads it"
    search().run(file, fails)
    assert not file.exists()


def test_of_workers_that_end_together_the_last_clears_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks whether others are there when the other does, if nothing keeps them from it."""

    def fails(values: dict[str, Value], count: int) -> list[float]:
        raise RuntimeError("no")

    file, together, look = tmp_path / "study.db", threading.Barrier(2), Workers.others_alive.fget
    assert look is not None

    def others(self: Workers) -> bool:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=2)
        seen = look(self)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=2)
        return seen

    monkeypatch.setattr(Workers, "others_alive", property(others))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: search().run(file, fails), range(2)))
    assert [len(trials) for trials in found] == [len(POINTS)] * 2
    assert not file.exists()


def test_a_worker_is_seen_as_long_as_it_lives(tmp_path: Path) -> None:
    first, second = Workers(tmp_path), Workers(tmp_path)
    (tmp_path / "worker-dead.lock").touch()
    assert not first.is_alive("dead")
    assert not first.is_alive(None)
    with first.registered():
        assert not (tmp_path / "worker-dead.lock").exists()
        assert second.is_alive(first.name)
        assert second.others_alive
        assert not first.others_alive
        with second.registered():
            assert first.others_alive
    assert not second.is_alive(first.name)
