"""Files that are written beside those whose places they take, and what dead writers left."""

import errno
import fcntl
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from medsam_exp.runtime import temporary_files
from medsam_exp.runtime.digests import write_atomically


def test_what_a_dead_writer_left_is_swept_and_what_a_living_one_fills_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process that writes there; each sweeps a folder once."""
    process = multiprocessing.get_context("fork").Process(target=_killed_while_it_writes, args=(tmp_path,))
    process.start()
    process.join(20)
    (left,) = tmp_path.iterdir()
    monkeypatch.setattr(temporary_files, "_swept", set())
    with temporary_files.filled_beside(tmp_path / "living", durable=False):
        monkeypatch.setattr(temporary_files, "_swept", set())
        write_atomically(tmp_path / "file", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "living"]
    assert left.name.startswith(".file.")


def test_files_of_another_machines_writer_are_swept_when_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary_files, "_machine", lambda: "0" * 8)
    young, old = tmp_path / ".file.12345678-1.abcdefgh", tmp_path / ".file.12345678-2.abcdefgh"
    for path in (young, old):
        path.touch()
    os.utime(old, (1e9, 1e9))
    write_atomically(tmp_path / "file", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "file"]


def test_a_dead_process_leaves_no_folder_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = multiprocessing.get_context("fork").Process(target=_killed_with_a_folder)
    process.start()
    process.join(20)
    (left,) = tmp_path.iterdir()
    assert (left / "upload").exists()
    with temporary_files.temporary_folder("other_") as other:
        assert sorted(tmp_path.iterdir()) == sorted([left, Path(other)])
    with temporary_files.temporary_folder("app_") as own, temporary_files.temporary_folder("app_") as second:
        assert sorted(tmp_path.iterdir()) == sorted([Path(own), Path(second)])
        assert Path(own).stat().st_mode & 0o077 == 0
    assert not list(tmp_path.iterdir())


def test_folders_of_living_processes_and_of_other_machines_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their numbers alone, as nobody has locked them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = multiprocessing.get_context("fork").Process(target=signal.pause)
    dead = multiprocessing.get_context("fork").Process(target=int)
    for process in (living, dead):
        process.start()
    dead.join(20)
    own = temporary_files._machine()
    kept = [f"app_{own}-{living.pid}.abc", f"app_12345678-{dead.pid}.abc"]
    for name in (*kept, f"app_{own}-{dead.pid}.abc"):
        (tmp_path / name).mkdir()
    file = tmp_path / f".file.{own}-{living.pid}.abcdefgh"
    file.touch()
    try:
        with temporary_files.temporary_folder("app_"):
            pass
        write_atomically(tmp_path / "new", b"")
        assert {path.name for path in tmp_path.iterdir()} == {*kept, file.name, "new"}
    finally:
        living.kill()
        living.join(20)


def test_a_folder_stays_while_a_process_lives_that_its_dead_maker_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asked, ask = os.pipe()
    maker = os.fork()
    if maker == 0:
        folder = temporary_files.temporary_folder("app_")
        if os.fork() == 0:
            os.read(asked, 1)
        os._exit(len(folder.name) == 0)
    os.waitpid(maker, 0)
    (left,) = tmp_path.iterdir()
    with temporary_files.temporary_folder("app_"):
        assert left.exists()
    os.write(ask, b"x")
    for handle in (asked, ask):
        os.close(handle)
    end = time.monotonic() + 20
    while left.exists() and time.monotonic() < end:
        monkeypatch.setattr(temporary_files, "_swept", set())
        with temporary_files.temporary_folder("app_"):
            pass
    assert not left.exists()


def test_without_locks_a_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", refuses)
    process = multiprocessing.get_context("fork").Process(target=_killed_with_a_folder)
    process.start()
    process.join(20)
    (left,) = tmp_path.iterdir()
    with temporary_files.temporary_folder("app_"):
        pass
    assert list(tmp_path.iterdir()) == [left]


def test_folders_are_looked_for_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scans: list[str] = []
    scan = os.scandir
    for _ in range(3):
        with temporary_files.temporary_folder("app_"), monkeypatch.context() as counted:
            counted.setattr(temporary_files.os, "scandir", lambda path: scans.append(str(path)) or scan(path))
            with temporary_files.temporary_folder("app_"):
                pass
    assert str(tmp_path) not in scans


def _killed_with_a_folder() -> None:
    with temporary_files.temporary_folder("app_") as folder:
        (Path(folder) / "upload").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _killed_while_it_writes(folder: Path) -> None:
    with temporary_files.filled_beside(folder / "file", durable=False):
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_error_of_the_disk_names_the_file(tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(OSError, match="No space left") as caught,
        temporary_files.filled_beside(tmp_path / "file", durable=True),
    ):
        full()
    assert caught.value.filename == str(tmp_path / "file")
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_begun_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "temporary")

    monkeypatch.setattr(tempfile, "mkstemp", refuses)
    with pytest.raises(OSError, match="quota") as caught:
        write_atomically(tmp_path / "file", b"")
    assert caught.value.filename == str(tmp_path / "file")
