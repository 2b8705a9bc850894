"""Shards of records: few files, many threads and processes, nothing lost but what a kill cut off."""

import contextlib
import errno
import gc
import multiprocessing
import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medsam_exp.runtime import shard_file, shards
from medsam_exp.runtime.artifacts import LostRecordError, StageArtifacts, stored_digests
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
    monkeypatch.setattr(shard_file, "FULL_AT_RECORDS", records)
    monkeypatch.setattr(shard_file, "_FULL_AT_BYTES", size)
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


def test_a_thread_that_has_ended_holds_no_file_open(tmp_path: Path) -> None:
    save(store(tmp_path), IDS[0])

    def open_files() -> int:
        return sum(
            path.is_symlink() and str(tmp_path) in str(path.readlink())
            for path in Path("/proc/self/fd").iterdir()
        )

    gc.collect()
    gc.disable()  # nothing may have to wait for a collection of cycles
    try:
        thread = threading.Thread(target=lambda: store(tmp_path).info(IDS[0]))
        thread.start()
        thread.join()
        assert open_files() == 0
    finally:
        gc.enable()


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
    monkeypatch.setattr(shard_file, "_SECONDS_UNWRITTEN", seconds)
    monkeypatch.setattr(shard_file, "_SHARE_OF_TIME", 1e9)

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
    monkeypatch.setattr(shard_file, "_SECONDS_UNWRITTEN", 0.2)
    monkeypatch.setattr(shard_file, "_SHARE_OF_TIME", 1e9)
    writing, reading = store(tmp_path), store(tmp_path)
    with writing.gathered():
        for name in IDS[:8]:
            save(writing, name)
        deadline = time.monotonic() + 20
        while reading.pending(IDS[:8]) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not reading.pending(IDS[:8])


def test_a_file_that_cannot_be_opened_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store(tmp_path), IDS[0])
    (shard,) = shards.shards_in(store(tmp_path).folder)
    monkeypatch.setattr(shards, "address", lambda *_: "file:///nowhere?mode=ro")  # as without free handles
    with pytest.raises(UserError, match=r"cannot be opened .*run the same command again"):
        shards.rows_of(shard)
    assert Path(shard.path).is_file()


def test_a_removed_file_holds_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    artifacts = store(tmp_path)
    save(artifacts, IDS[0])
    assert artifacts.info(IDS[0])["number"] == 0
    (file,) = artifacts.folder.iterdir()
    file.unlink()
    shards._open_shards = shards._OpenShards()  # of another process
    with pytest.raises(LostRecordError):
        artifacts.features(IDS[0])
    assert artifacts.pending(IDS[:1]) == IDS[:1]
    assert not caplog.messages


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("seed", range(3))
def test_any_flipped_bit_changes_nothing_or_is_found(
    tmp_path: Path, one_by_one: dict[str, Any], seed: int
) -> None:
    """Every record reads as it was written, or is pending; those beside the damage stay."""
    with_threads(tmp_path)
    file = max(store(tmp_path).folder.iterdir(), key=lambda path: path.stat().st_size)
    whole, generator = file.read_bytes(), np.random.default_rng(seed)
    lost = []
    for place in generator.integers(0, len(whole), 12):
        for other in file.parent.iterdir():
            other.unlink()
        file.write_bytes(flip(whole, int(place)))
        artifacts = store(tmp_path)
        found = {}
        for name in IDS:
            with contextlib.suppress(LostRecordError):
                found[name] = (
                    artifacts.info(name),
                    artifacts.features(name).tobytes(),
                    artifacts.maps(name)["half"].tobytes(),
                )
        assert {name: one_by_one[name] for name in found} == found
        assert set(artifacts.pending(IDS)) >= set(IDS) - set(found)
        lost.append(len(IDS) - len(found))
    assert max(lost) <= len(IDS)
    assert sorted(lost)[6] <= len(IDS) // 4, "most damage costs few records"


def test_whole_records_of_a_damaged_file_are_kept_and_it_is_named_once(
    tmp_path: Path, one_by_one: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with_threads(tmp_path)
    artifacts = store(tmp_path)
    file = max(artifacts.folder.iterdir(), key=lambda path: path.stat().st_size)
    before = contents(artifacts)
    place = file.read_bytes().index(b'"number": 7')
    file.write_bytes(flip(file.read_bytes(), place))
    artifacts = store(tmp_path)
    assert not artifacts.pending(IDS)
    lost = [name for name in IDS if before[name][0]["number"] == 7]
    with pytest.raises(LostRecordError):
        artifacts.info(lost[0])
    assert list(artifacts.pending(IDS)) == lost
    save(artifacts, lost[0])
    assert contents(artifacts) == one_by_one
    (said,) = caplog.messages
    assert said.startswith(f"{file} was damaged (the info of {lost[0]} is not what was written)")
    assert f"now called {file.name}.damaged" in said
    assert file.with_name(f"{file.name}.damaged").is_file()


def test_a_damaged_file_that_cannot_be_renamed_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save(store(tmp_path), IDS[0])
    (shard,) = shards.shards_in(store(tmp_path).folder)
    Path(shard.path).write_bytes(b"no database at all")
    refusal = OSError(errno.EROFS, os.strerror(errno.EROFS))
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(refusal))
    for _ in range(2):
        assert store(tmp_path).pending(IDS[:1]) == IDS[:1]
    (said,) = caplog.messages
    assert "cannot be renamed (Read-only file system); it is ignored" in said


def test_records_of_before_checksums_are_read(tmp_path: Path) -> None:
    artifacts = store(tmp_path)
    artifacts.folder.mkdir(parents=True)
    with sqlite3.connect(artifacts.folder / "1-a.records") as old:
        old.execute(
            "CREATE TABLE records (sample TEXT NOT NULL, digest TEXT NOT NULL, info TEXT NOT NULL, array BLOB, "
            "maps BLOB, PRIMARY KEY (sample, digest))"
        )
        row = (IDS[3], f"{3:012d}", '{"number": 3}', None, None)
        old.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", row)
    old.close()
    assert artifacts.info(IDS[3]) == {"number": 3}


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
