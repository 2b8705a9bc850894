"""Asked to stop: the block unwinds, one sentence is said, the exit code tells the signal, and it happens in time."""

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from medsam_exp.runtime import interrupts
from medsam_exp.runtime.interrupts import Stopped, stops_when_asked
from medsam_exp.training.callbacks import RestoreSignals


def in_a_process(work: Callable[[], None], seconds: float = 20) -> int:
    """Do some work in a process of its own, as a stopped one does not go on; return its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(seconds)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def ask(number: int) -> None:
    os.kill(os.getpid(), number)
    for _ in range(200):  # a signal is handled between two steps
        time.sleep(0.05)
    os._exit(7)


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_a_signal_unwinds_the_block_and_is_said_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], number: int, code: int, said: str
) -> None:
    @stops_when_asked(hint="")
    def work() -> None:
        try:
            with stops_when_asked():
                ask(number)
        finally:
            (tmp_path / "closed").touch()

    assert in_a_process(work) == code
    assert (tmp_path / "closed").exists()
    assert capfd.readouterr().err == f"stopped by {said}; the same command goes on from here\n"


@pytest.mark.parametrize("hang", ["pass", "time.sleep(10)"], ids=["unwinds", "is cut off"])
def test_temporary_folders_go_though_a_finalizer_was_made_before_the_block(tmp_path: Path, hang: str) -> None:
    code = f"""
import os, signal, tempfile, time
first = tempfile.TemporaryDirectory()
from medsam_exp.runtime.interrupts import stops_when_asked
with stops_when_asked(seconds=0.5):
    second = tempfile.TemporaryDirectory()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    finally:
        {hang}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path)}, check=False
    )
    assert done.returncode == 143
    assert not list(tmp_path.iterdir())


def test_what_comes_of_unwinding_does_not_hide_that_it_was_asked(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with stops_when_asked():
            try:
                ask(signal.SIGTERM)
            finally:
                raise ValueError("a tracker cannot be closed")

    assert in_a_process(work) == 143
    assert "tracker" not in capfd.readouterr().err


def test_what_does_not_unwind_is_cut_off(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with stops_when_asked(hint="", seconds=0.3):
            try:
                ask(signal.SIGTERM)
            finally:
                time.sleep(60)

    assert in_a_process(work) == 143
    assert capfd.readouterr().err == "stopped by SIGTERM\n"


def swallow() -> None:
    try:
        ask(signal.SIGTERM)
    except Stopped:
        time.sleep(60)


def never_come_back_to_python() -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)


@pytest.mark.parametrize("hang", [swallow, never_come_back_to_python])
def test_what_hears_nothing_is_cut_off(hang: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with stops_when_asked(hint="", seconds=0.3):
            hang()

    assert in_a_process(work) == 143
    assert capfd.readouterr().err == "stopped by SIGTERM\n"


def test_more_signals_do_not_disturb_the_unwinding(tmp_path: Path) -> None:
    def work() -> None:
        with stops_when_asked():
            try:
                ask(signal.SIGINT)
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                    os.kill(os.getpid(), number)
                    time.sleep(0.05)
                (tmp_path / "closed").touch()

    assert in_a_process(work) == 130
    assert (tmp_path / "closed").exists()


def test_handlers_of_others_stay_and_ours_go_with_the_block() -> None:
    """Submitit sets its own for SIGTERM, so that SLURM can queue the job again."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        usual = signal.getsignal(signal.SIGINT)
        with stops_when_asked(seconds=0.1):
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGINT) is not usual
            interrupts.take_back_signals()
            time.sleep(0.3)  # nor does anything cut the process off
        assert seen == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) is usual
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_of_a_server_takes_no_signals_back() -> None:
    """As the app's, which answers while the main thread waits in the block."""
    with stops_when_asked(), ThreadPoolExecutor() as pool:
        pool.submit(interrupts.take_back_signals).result()


def test_an_error_of_the_block_goes_its_way() -> None:
    with pytest.raises(ValueError, match="mine"), stops_when_asked():
        raise ValueError("mine")
    assert not interrupts.was_asked()


def test_ending_a_child_does_not_end_the_process_that_forked_it() -> None:
    with stops_when_asked(seconds=0.1):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        child.join(10)
        time.sleep(0.3)
        assert child.exitcode == 143


def test_under_a_trainer_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Lightning has put its own handler in place by then."""

    class Model(pl.LightningModule):
        def predict_step(self, batch: torch.Tensor) -> None:
            if batch == 1:
                ask(signal.SIGTERM)
            (tmp_path / str(int(batch))).touch()

    def work() -> None:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        with stops_when_asked():
            trainer = pl.Trainer(accelerator="cpu", callbacks=[RestoreSignals()], **quiet)
            trainer.predict(Model(), torch.arange(5), return_predictions=False)

    assert in_a_process(work) == 143
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    assert "stopped by SIGTERM; the same command goes on from here\n" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_child_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    def child() -> None:
        interrupts.die_with_parent(os.getppid())
        with stops_when_asked():
            try:
                (tmp_path / "begun").touch()
                time.sleep(60)
            finally:
                (tmp_path / "closed").touch()

    def parent() -> None:
        multiprocessing.get_context("fork").Process(target=child).start()
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_process(parent) == -signal.SIGKILL
    end = time.monotonic() + 10
    while not (tmp_path / "closed").exists():
        assert time.monotonic() < end, "the child goes on"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_child_stops_whose_parent_was_killed_before_it_could_ask() -> None:
    def child() -> None:
        interrupts.die_with_parent(another)
        time.sleep(60)

    another = os.getppid()  # of the child it is the parent's parent
    assert in_a_process(child) == -signal.SIGTERM
