"""Blocks of samples for the processes of a job: each sample once, whoever comes late or never."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.shared_work import own_blocks

_IDS = [f"scan_{number:04d}" for number in range(1000)]
_FAULTY = set(_IDS[7::10])
"""Of these nobody stores anything."""


@pytest.mark.parametrize("present", [2, 1], ids=["both come", "one stays away"])
def test_processes_make_every_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: int
) -> None:
    own, both_at_work = threading.local(), threading.Barrier(present)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: own.rank)

    def work(rank: int) -> list[tuple[str, ...]]:
        own.rank, blocks = rank, []
        stored = StageArtifacts(tmp_path, "s", "k", dict.fromkeys(_IDS, "1" * 64))
        for block in own_blocks(stored, _IDS):
            if not blocks:
                both_at_work.wait(60)
            blocks.append(block)
            with stored.gathered():
                for name in block:
                    if name not in _FAULTY:
                        stored.save(name, {"rank": rank})
        return blocks

    with ThreadPoolExecutor(present) as threads:
        taken = list(threads.map(work, range(present)))
    assert [blocks[0][0] for blocks in taken] == [_IDS[0], _IDS[496]][:present], "each begins elsewhere"
    given = [name for blocks in taken for block in blocks for name in block]
    assert sorted(name for name in given if name not in _FAULTY) == sorted({*_IDS} - _FAULTY)
    assert set(given) >= _FAULTY
    again = StageArtifacts(tmp_path, "s", "k", dict.fromkeys(_IDS, "1" * 64))
    assert set(again.pending(_IDS)) == _FAULTY


def test_one_process_is_given_all_at_once(tmp_path: Path) -> None:
    stored = StageArtifacts(tmp_path, "s", "k", dict.fromkeys(_IDS, "1" * 64))
    stored.save(_IDS[5], {})
    assert list(own_blocks(stored, _IDS)) == [tuple(_IDS[:5] + _IDS[6:])]


@pytest.mark.parametrize(("count", "same"), [(9, False), (5000, True)])
def test_shares_are_whole_and_of_many_items_the_same_for_all_batches(
    monkeypatch: pytest.MonkeyPatch, count: int, same: bool
) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    shares: dict[int, list[set[int]]] = {}
    for at_once in (1, 4, 32):
        for rank in range(3):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            starts = distributed.own_starts(count, at_once)
            own = {place for start in starts for place in range(start, min(start + at_once, count))}
            shares.setdefault(at_once, []).append(own)
        assert sorted(place for own in shares[at_once] for place in own) == [*range(count)]
    assert (shares[1] == shares[4] == shares[32]) == same
    lengths = [len(own) for own in shares[1]]
    assert max(lengths) - min(lengths) <= (32 if same else 1)
