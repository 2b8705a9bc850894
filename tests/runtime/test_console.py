"""The bar of a stage: it moves within a batch, never past what there is, and a batch that is done counts once."""

import io
import logging
from collections import defaultdict
from typing import Any

import pytest

from medsam_exp.runtime import console


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    def update(_: Any, __: Any, *, completed: float) -> None:
        found.append(completed)

    monkeypatch.setattr(console.Progress, "update", update)
    return found


def test_a_bar_moves_within_a_batch(shown: list[float]) -> None:
    with console.stage_progress("saliency", 5) as advance:
        for _ in range(3):
            console.progress_within(1)
        advance(4)
        for _ in range(3):  # of a batch of four, of which one is real
            console.progress_within(1)
        advance(1)
    assert shown == [1, 2, 3, 4, 5, 5, 5, 5]


def test_without_a_stage_nothing_moves(shown: list[float]) -> None:
    console.progress_within(1)
    with console.stage_progress("saliency", 5):
        pass
    console.progress_within(1)
    assert shown == []


def test_jobs_on_one_console_warn_once_of_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_warned", defaultdict(set))
    written = [io.StringIO(), io.StringIO()]
    log = logging.getLogger("medsam_exp.job")
    log.setLevel(logging.INFO)
    for job in range(2):
        handlers = [logging.StreamHandler(each) for each in written]
        monkeypatch.setattr(logging.getLogger(), "handlers", handlers)
        with console.only_warnings():
            log.info("stage of job %d", job)
            log.warning("networks know drawn scans alone")
            log.warning("job %d has no masks", job)
            log.error("it failed")
    log.warning("networks know drawn scans alone")
    first = "networks know drawn scans alone"
    said = [first, "job 0 has no masks", "it failed", "job 1 has no masks", "it failed", first]
    assert [each.getvalue().splitlines() for each in written] == [said, said]
