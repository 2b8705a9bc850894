"""GPUs and cores shared out among the jobs of a sweep; the GPUs are names only, so no GPU is needed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.runtime.gpus import visible_gpus
from medsam_exp.runtime.threads import threads_per_process
from medsam_exp.sweep.devices import limit_threads, reserved_gpus
from medsam_exp.types import UserError

ON_A_GPU = """
import multiprocessing, sys
from pathlib import Path
from medsam_exp.cli import runner
from medsam_exp.runtime.gpus import visible_gpus
from medsam_exp.sweep.devices import reserved_gpus

def work():
    import torch
    with reserved_gpus(1, visible_gpus(), Path(sys.argv[1])):
        assert torch.cuda.device_count() == 1
        assert torch.ones(3, device="cuda").sum() == 3

for _ in range(2):
    job = multiprocessing.get_context("fork").Process(target=work)
    job.start()
    job.join()
    assert job.exitcode == 0
"""
POOL = ["GPU-a", "GPU-b", "GPU-c"]
VISIBLE = "CUDA_VISIBLE_DEVICES"


def forked(work: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def hold(count: int, folder: Path, mark: Path, seconds: float) -> None:
    """Take GPUs, say which and when, keep them for a while, say when that ended."""
    with reserved_gpus(count, POOL, folder):
        began = time.monotonic()
        mark.with_suffix(".part").write_text(f"{os.environ[VISIBLE]} {began} {began + seconds}")
        mark.with_suffix(".part").rename(mark)
        time.sleep(seconds)


def test_a_machine_without_gpus_has_none_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VISIBLE, raising=False)
    assert visible_gpus() == []
    with reserved_gpus(0, [], tmp_path / "locks") as names:
        assert names == []
        assert VISIBLE not in os.environ
    assert not (tmp_path / "locks").exists()


def test_more_gpus_than_there_are_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"trainer.devices=4, but .* 3 GPUs"),
        reserved_gpus(4, POOL, tmp_path),
    ):
        pass


def test_no_gpu_is_held_twice_at_a_time(tmp_path: Path) -> None:
    marks = [tmp_path / str(number) for number in range(6)]
    counts = [1, 2, 1, 3, 2, 1]
    holders = [
        forked(hold, count, tmp_path / "locks", mark, 0.3) for count, mark in zip(counts, marks, strict=True)
    ]
    for holder in holders:
        holder.join(30)
    assert [holder.exitcode for holder in holders] == [0] * 6
    held = [mark.read_text().split() for mark in marks]
    assert [len(set(names.split(","))) for names, *_ in held] == counts
    spans = [(name, float(a), float(b)) for names, a, b in held for name in names.split(",")]
    for number, (name, began, ended) in enumerate(spans):
        others = [(a, b) for other, a, b in spans[number + 1 :] if other == name]
        assert all(ended <= a or b <= began for a, b in others), f"{name} was held twice at a time"


def test_the_gpus_of_a_killed_job_are_free(tmp_path: Path) -> None:
    holder = forked(hold, 3, tmp_path / "locks", tmp_path / "mark", 60)
    while not (tmp_path / "mark").exists():
        time.sleep(0.02)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    after = forked(hold, 3, tmp_path / "locks", tmp_path / "after", 0)
    after.join(10)
    assert after.exitcode == 0


@pytest.mark.parametrize(
    ("cores", "processes", "wanted", "threads"),
    [(16, 4, "", 4), (16, 3, "", 5), (2, 4, "", 1), (16, 4, "2", 2), (16, 4, "12", 4), (16, 1, "", 16)],
)
def test_cores_are_shared_out(
    cores: int, processes: int, wanted: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert threads_per_process(processes) == threads


def _limited(path: Path) -> None:
    import threadpoolctl
    import torch

    limit_threads(1)
    pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    path.write_text(f"{torch.get_num_threads()} {sorted(pools)} {os.environ['OMP_NUM_THREADS']}")


def test_a_limit_holds_for_all_libraries_and_for_what_is_started_later(tmp_path: Path) -> None:
    forked(_limited, tmp_path / "limits").join(20)
    assert (tmp_path / "limits").read_text() == "1 [1] 1"


@pytest.mark.gpu
def test_a_forked_job_wakes_cuda_itself_and_sees_its_gpu_only(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ON_A_GPU, str(tmp_path)], check=True, timeout=300)
