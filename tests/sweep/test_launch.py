"""Processes of a sweep: in order, a few at once, and each death its own."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from medsam_exp.sweep.launch import CONSOLE_FILE, run_processes

Deaths = dict[str, str]
FRESH = """
import sys
from pathlib import Path
from medsam_exp.sweep.launch import run_processes

def look():
    Path(sys.argv[1], "seen").write_text(" ".join(sys.modules))

run_processes({}, 1, print)
assert "torch" not in sys.modules
run_processes({Path(sys.argv[1]): look}, 1, print)
"""


def run_all(tmp_path: Path, work: dict[str, Callable[[Path], None]], at_once: int = 2) -> Deaths:
    """Run named jobs, each given its folder; return who died of what."""
    deaths: Deaths = {}

    jobs = {tmp_path / name: partial(run, tmp_path / name) for name, run in work.items()}
    run_processes(jobs, at_once, lambda f, why: deaths.update({f.name: why}))
    return deaths


def finish(folder: Path) -> None:
    (folder / "done").touch()


def wait_for(path: Path, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def is_gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends within some time; one that nobody waited for has ended too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def kill_self(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def complain(folder: Path) -> None:
    raise ValueError("no such thing")


def test_a_killed_job_is_named_and_the_others_finish(tmp_path: Path) -> None:
    deaths = run_all(tmp_path, {"a": finish, "b": kill_self, "c": finish, "d": finish})
    assert deaths == {"b": "its process was killed by SIGKILL, perhaps for want of memory"}
    assert [name for name in "abcd" if (tmp_path / name / "done").exists()] == ["a", "c", "d"]


def end_self(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)


def test_a_job_that_is_asked_to_end_is_named_and_the_others_finish(tmp_path: Path) -> None:
    assert run_all(tmp_path, {"a": end_self, "b": finish}) == {"a": "its process was killed by SIGTERM"}
    assert (tmp_path / "b" / "done").exists()


def leave(code: int | str) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        raise SystemExit(code)

    return work


def test_what_a_job_says_last_is_the_reason_of_its_end(tmp_path: Path) -> None:
    deaths = run_all(tmp_path, {"a": complain, "b": finish, "c": leave("error: no disk"), "d": leave(255)})
    reasons = {
        "a": "ValueError: no such thing",
        "c": "error: no disk",
        "d": "its process ended with exit code 255",
    }
    assert deaths == reasons
    assert "Traceback" in (tmp_path / "a" / CONSOLE_FILE).read_text()


@pytest.mark.parametrize("at_once", [1, 3])
def test_so_many_run_at_once_and_no_more(tmp_path: Path, at_once: int) -> None:
    def work(folder: Path) -> None:
        began = time.monotonic()
        time.sleep(0.3)
        (folder / "times").write_text(f"{began} {time.monotonic()}")

    names = "abcdef"
    assert run_all(tmp_path, dict.fromkeys(names, work), at_once) == {}
    times = [tuple(map(float, (tmp_path / name / "times").read_text().split())) for name in names]
    most = max(sum(began <= moment < ended for began, ended in times) for moment, _ in times)
    assert most == at_once
    assert times[0][0] == min(began for began, _ in times), "the first job is started first"


def test_each_job_has_a_process_of_its_own_and_starts_in_it_from_the_same_state(tmp_path: Path) -> None:
    left_behind: list[int] = []

    def work(folder: Path) -> None:
        left_behind.append(os.getpid())
        (folder / "seen").write_text(" ".join(map(str, left_behind)))

    run_all(tmp_path, {"a": work, "b": work}, at_once=1)
    seen = [(tmp_path / name / "seen").read_text() for name in "ab"]
    assert len(set(seen)) == 2
    assert all(" " not in text for text in seen)
    assert not left_behind


def test_jobs_are_forked_from_a_process_that_has_imported_what_computes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FRESH, str(tmp_path)], check=True)
    seen = (tmp_path / "seen").read_text().split()
    assert {"torch", "pytorch_lightning", "open_clip", "segment_anything"} <= set(seen)


def test_what_a_killed_job_has_started_ends_with_it(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        child = subprocess.Popen(["sleep", "60"])
        (folder / "child").write_text(str(child.pid))
        kill_self(folder)

    run_all(tmp_path, {"a": work})
    assert is_gone(int((tmp_path / "a" / "child").read_text()))


def test_ending_the_sweep_ends_its_jobs(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        (folder / "part").write_text(str(os.getpid()))
        (folder / "part").rename(folder / "pid")
        time.sleep(60)

    sweep = multiprocessing.get_context("fork").Process(
        target=run_all, args=(tmp_path, {"a": work, "b": work})
    )
    sweep.start()
    for name in "ab":
        wait_for(tmp_path / name / "pid")
    assert sweep.pid is not None
    os.kill(sweep.pid, signal.SIGTERM)
    sweep.join(20)
    assert sweep.exitcode == 128 + signal.SIGTERM
    assert all(is_gone(int((tmp_path / name / "pid").read_text())) for name in "ab")


def test_a_disk_that_does_not_take_the_jobs_status_is_one_sentence(tmp_path: Path) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "job_status.json")

    said = run_all(tmp_path, {"a": full})["a"]
    assert said.startswith("error: job_status.json: no space left on device; free space")
    assert "Traceback" not in (tmp_path / "a" / CONSOLE_FILE).read_text()
