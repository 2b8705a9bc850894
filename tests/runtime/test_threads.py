"""Work in threads: the results, their order and what an error leaves are those of one thread."""

import collections
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import numpy as np
import pytest
import torch

from medsam_exp.runtime import threads
from medsam_exp.runtime.threads import Behind, map_in_threads, usable_cores

THREADS = (0, 1, 4)


def waited(number: int) -> int:
    """The earlier ones take longer, so that threads which are not held to the order would break it."""
    time.sleep(0.002 * (10 - number % 10))
    return number**2


def broken_at_seven(number: int) -> int:
    if number == 7:
        raise ZeroDivisionError
    return waited(number)


@pytest.fixture(params=THREADS)
def count(request: pytest.FixtureRequest) -> int:
    return request.param


def behind(
    items: Iterator[int], make: Callable[[int], int], count: int, keep: Callable[[int], object]
) -> None:
    with Behind(make, keep, threads=count, waiting=3) as take:
        for item in items:
            take(item)


def test_results_come_in_order(count: int) -> None:
    expected = [number**2 for number in range(20)]
    assert list(map_in_threads(waited, range(20), count)) == expected
    kept: list[int] = []
    behind(iter(range(20)), waited, count, kept.append)
    assert kept == expected


def test_what_comes_before_an_error_is_kept_and_nothing_after_it(count: int) -> None:
    expected = [number**2 for number in range(7)]
    results, kept = [], []
    with pytest.raises(ZeroDivisionError):
        collections.deque(map(results.append, map_in_threads(broken_at_seven, range(20), count)))
    with pytest.raises(ZeroDivisionError):
        behind(iter(range(20)), broken_at_seven, count, kept.append)
    assert results == kept == expected


def test_an_error_of_keeping_ends_the_keeping(count: int) -> None:
    kept: list[int] = []

    def keep(number: int) -> None:
        if number == 16:
            raise OSError("no space left")
        kept.append(number)

    with pytest.raises(OSError, match="no space"):
        behind(iter(range(20)), waited, count, keep)
    assert kept == [0, 1, 4, 9]


def test_an_error_of_the_loop_waits_for_what_is_behind(count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(6)
        raise ValueError("a broken answer")

    kept: list[int] = []
    with pytest.raises(ValueError, match="broken answer"):
        behind(items(), waited, count, kept.append)
    assert kept == [number**2 for number in range(6)]


def test_the_first_error_is_the_one_that_is_raised(count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(8)
        raise ValueError("a broken answer")

    with pytest.raises(ZeroDivisionError):
        behind(items(), broken_at_seven, count, int)


def test_a_request_to_stop_keeps_a_part_in_order_and_starts_nothing_more(count: int) -> None:
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        return waited(number)

    def items() -> Iterator[int]:
        yield from range(10)
        raise KeyboardInterrupt

    kept: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        behind(items(), make, count, kept.append)
    assert kept == [number**2 for number in range(len(kept))]
    after = len(begun)
    time.sleep(0.05)
    assert len(begun) == after


@pytest.mark.parametrize("count", [1, 4])
def test_no_more_is_begun_than_may_wait(count: int) -> None:
    begun: list[int] = []
    with closing(map_in_threads(begun.append, range(100_000), count)) as results:
        for taken in range(1, 4):
            next(results)
            assert len(begun) <= taken + count
    assert len(begun) <= 3 + count
    gate, waiting = threading.Event(), 3
    with Behind(gate.wait, lambda _: None, threads=count, waiting=waiting) as take:
        for _ in range(waiting):
            take()
        blocked = threading.Thread(target=take)
        blocked.start()
        blocked.join(0.05)
        assert blocked.is_alive()
        gate.set()
        blocked.join()


def test_torch_works_without_threads_of_its_own_and_this_thread_keeps_its_number() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert set(map_in_threads(lambda _: torch.get_num_threads(), range(9), 3)) == {1}
        assert torch.get_num_threads() == 3
        with suppress(RuntimeError), Behind(waited, print, threads=2, waiting=1):
            raise RuntimeError
        assert torch.get_num_threads() == 3
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [3]
    finally:
        torch.set_num_threads(before)


def test_interpolation_in_threads_is_equal_bit_by_bit() -> None:
    grids = [torch.from_numpy(np.random.default_rng(seed).random((1, 1, 14, 14))) for seed in range(8)]

    def large(grid: torch.Tensor) -> bytes:
        return torch.nn.functional.interpolate(grid, (300, 420), mode="bilinear").numpy().tobytes()

    expected = [large(grid) for grid in grids]
    assert all(list(map_in_threads(large, grids, count)) == expected for count in THREADS)


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), (None, 8)]
)
def test_a_containers_quota_counts(
    tmp_path, monkeypatch: pytest.MonkeyPatch, quota: str | None, cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores() == cores
