"""The bar of a stage: it moves within a batch, never past what there is, and a batch that is done counts once."""

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
