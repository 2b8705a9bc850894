"""Shards of records: few files, many threads and processes, nothing lost but what a kill cut off."""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medsam_exp.runtime import shards
from medsam_exp.runtime.artifacts import StageArtifacts, stored_digests
from medsam_exp.runtime.errors import UserError

IDS = tuple(f"image_{number}" for number in range(60))


def store(root: Path) -> StageArtifacts:
    return StageArtifacts(
        root, "saliency", "key", {name: f"{number:012d}" for number, name in enumerate(IDS)}
    )


def save(artifacts: StageArtifacts, name: str) -> None:
    generator = np.random.default_rng(IDS.index(name))
    map_ = generator.random((9, 7), dtype=np.float32)
    artifacts.save(name, {"number": IDS.index(name)}, map_, {"half": map_ / 2})


def contents(artifacts: StageArtifacts) -> dict[str, Any]:
    found = {
        name: (
            artifacts.info(name),
            artifacts.features(name).tobytes(),
            artifacts.maps(name)["half"].tobytes(),
        )
        for name in IDS
    }
    assert not artifacts.pending(IDS)
    return found


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is read back of records that were each written as a file of its own."""
    artifacts = store(tmp_path_factory.mktemp("plain"))
    for name in IDS:
        save(artifacts, name)
    assert len(list(artifacts.folder.iterdir())) == len(IDS)
    return contents(artifacts)


def with_threads(root: Path) -> None:
    artifacts = store(root)
    with artifacts.gathered(), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: save(artifacts, name), IDS))


def with_processes(root: Path) -> None:
    def work(share: int) -> None:
        artifacts = store(root)
        with artifacts.gathered():
            for name in reversed(IDS[share::2]):
                save(artifacts, name)

    processes = [multiprocessing.get_context("fork").Process(target=work, args=(share,)) for share in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0]


@pytest.mark.parametrize("write", [with_threads, with_processes])
@pytest.mark.parametrize(("records", "size"), [(4096, 2**26), (7, 2**26), (4096, 2000)])
def test_records_do_not_depend_on_who_writes_and_how_many_go_into_a_file(
    tmp_path: Path,
    one_by_one: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    records: int,
    size: int,
) -> None:
    monkeypatch.setattr(shards, "_FULL_AT_RECORDS", records)
    monkeypatch.setattr(shards, "_FULL_AT_BYTES", size)
    write(tmp_path)
    read = store(tmp_path)
    assert contents(read) == one_by_one
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read.info, IDS)) == [one_by_one[name][0] for name in IDS]
    files = list(read.folder.iterdir())
    assert all(file.suffix == ".records" for file in files), "nothing temporary is left"
    assert len(files) <= 2 if records == 4096 and size == 2**26 else 8 <= len(files) < len(IDS)


def test_the_fork_of_a_reader_reads(tmp_path: Path, one_by_one: dict[str, Any]) -> None:
    with_threads(tmp_path)
    artifacts = store(tmp_path)
    assert contents(artifacts) == one_by_one

    def work() -> None:
        assert contents(artifacts) == one_by_one

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    assert contents(artifacts) == one_by_one
    process.join(20)
    assert process.exitcode == 0


def test_readers_see_what_another_process_adds(tmp_path: Path) -> None:
    writing, reading = store(tmp_path), store(tmp_path)
    assert reading.pending(IDS) == IDS
    save(writing, IDS[0])
    assert reading.info(IDS[0])["number"] == 0
    assert reading.pending(IDS) == IDS[1:]


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["each is written", "none is due"])
def test_a_kill_loses_what_was_not_due_and_the_rest_is_added(
    tmp_path: Path, one_by_one: dict[str, Any], monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(shards, "_SECONDS_UNWRITTEN", seconds)

    def work() -> None:
        artifacts = store(tmp_path)
        with artifacts.gathered():
            for name in IDS[:10]:
                save(artifacts, name)
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    artifacts = store(tmp_path)
    pending = artifacts.pending(IDS)
    assert pending == (IDS[10:] if seconds == 0 else IDS)
    with artifacts.gathered():
        for name in pending:
            save(artifacts, name)
    assert contents(store(tmp_path)) == one_by_one


def test_an_error_keeps_what_was_computed_before_it(tmp_path: Path) -> None:
    artifacts = store(tmp_path)

    def broken_off() -> None:
        with artifacts.gathered():
            for name in IDS[:5]:
                save(artifacts, name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert store(tmp_path).pending(IDS) == IDS[5:]


def test_digests_of_a_sample_that_was_changed_stand_in_their_order(tmp_path: Path) -> None:
    for digest in ("b" * 64, "a" * 64):
        StageArtifacts(tmp_path, "s", "k", {"one": digest, "two": "c" * 64}).save("one", {})
    StageArtifacts(tmp_path, "s", "k", {"two": "c" * 64}).save("two", {})
    assert stored_digests(tmp_path / "s" / "k") == {"one": ["b" * 12, "a" * 12], "two": ["c" * 12]}
    assert stored_digests(tmp_path / "nowhere") == {}


def test_a_record_is_written_in_time_though_no_other_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_SECONDS_UNWRITTEN", 0.2)
    writing, reading = store(tmp_path), store(tmp_path)
    with writing.gathered():
        for name in IDS[:8]:
            save(writing, name)
        deadline = time.monotonic() + 20
        while reading.pending(IDS[:8]) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not reading.pending(IDS[:8])


def test_a_file_that_cannot_be_opened_now_is_not_called_damaged(tmp_path: Path) -> None:
    save(store(tmp_path), IDS[0])
    (shard,) = shards.shards_in(store(tmp_path).folder)
    Path(shard.path).unlink()
    with pytest.raises(UserError, match=r"cannot be opened .*run the same command again"):
        shards.rows_of(shard)


def test_a_disk_that_takes_nothing_is_an_error_of_the_disk(tmp_path: Path) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            save(store(tmp_path), IDS[0])
        except OSError:
            os._exit(3)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(20)
    assert process.exitcode == 3


@pytest.mark.parametrize("name", ["a?b#c%d", "ünï 'x'"])
def test_any_folder_may_hold_a_store(tmp_path: Path, name: str) -> None:
    root = Path(f"/{tmp_path}") / name  # two slashes at the beginning
    save(store(root), IDS[0])
    assert store(root).info(IDS[0])["number"] == 0
