"""Runs as processes of their own that are asked to stop: how they end, and that the same command then goes on."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.test_interrupted import ROOT, TEN_IN_BATCHES, command, finish, masks, records

SENTENCE = "; the same command goes on from here\n"


def stop(outputs: Path, number: signal.Signals, *overrides: str) -> tuple[int, str]:
    """Start a run, stop it when saliency has begun, as a terminal or a cluster does; its code and words."""
    process = subprocess.Popen(
        command(outputs, *TEN_IN_BATCHES, *overrides),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    while len(records(outputs, "saliency")) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    assert process.poll() is None, "it ended by itself"
    send = os.killpg if number is signal.SIGINT else os.kill
    send(process.pid, number)
    said = process.communicate(timeout=60)[1]
    return process.returncode, said[said.rfind("stopped by") :]


def living(outputs: Path) -> list[str]:
    """Processes that have these outputs on their command line."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [line.read_text()] if str(outputs) in line.read_text() else []
        except OSError:
            continue  # it has just ended
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said", "overrides"),
    [
        (signal.SIGTERM, 143, "stopped by SIGTERM", ()),
        (signal.SIGINT, 130, "stopped by Ctrl-C", ()),
        (signal.SIGTERM, 143, "stopped by SIGTERM", ("trainer=ddp", "trainer.devices=2")),
        (signal.SIGINT, 130, "stopped by Ctrl-C", ("trainer=ddp", "trainer.devices=2")),
    ],
)
def test_a_stopped_run_says_so_and_goes_on_later(
    tmp_path: Path, number: signal.Signals, code: int, said: str, overrides: tuple[str, ...]
) -> None:
    assert stop(tmp_path, number, *overrides) == (code, said + SENTENCE)
    assert living(tmp_path) == []
    assert len(records(tmp_path, "saliency")) < 10
    again, alone = finish(tmp_path, *overrides), finish(tmp_path / "undisturbed")
    assert masks(again) == masks(alone)
    assert len(masks(again)) == 10


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [(), ("hydra/launcher=processes", "hydra.launcher.n_jobs=2")])
def test_a_stopped_sweep_starts_no_further_job(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    sweep = ("seed=0,1,2", *overrides, "-m")
    assert stop(tmp_path, signal.SIGTERM, *sweep) == (143, f"stopped by SIGTERM{SENTENCE}")
    assert living(tmp_path) == []
    assert not list(tmp_path.glob("sweeps/*/*/seed=2"))
    assert not list(tmp_path.glob("sweeps/*/*/*/job_status.json")), "a stopped job has not failed"
