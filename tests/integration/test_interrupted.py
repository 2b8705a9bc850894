"""Runs as processes of their own: killed, resumed, spread over two processes, and refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medsam_exp.runtime.artifacts import stored_digests
from medsam_exp.runtime.shards import Shard, rows_of, shards_in

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["clip=tiny_random", "sam=tiny_scratch", "saliency.steps=2", "saliency.noise_samples=1"]
TEN_IN_BATCHES = ["data.count=10", "batch_size.saliency=2", "batch_size.sam_mask=1"]


def command(outputs: Path, *overrides: str) -> list[str]:
    return [sys.executable, "run.py", *SMALL, f"paths.outputs={outputs}", *overrides]


def finish(outputs: Path, *overrides: str) -> Path:
    """Run to the end and return the run's folder."""
    run_dir = outputs / f"run{time.time_ns()}"
    done = subprocess.run(
        command(outputs, *TEN_IN_BATCHES, f"hydra.run.dir={run_dir}", *overrides),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return run_dir


def kill_in(outputs: Path, stage: str) -> int:
    """Start a run, kill it as soon as a sample of a stage is stored; return how many were."""
    process = subprocess.Popen(
        command(outputs, *TEN_IN_BATCHES), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if records(outputs, stage):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    return len(records(outputs, stage))


def records(outputs: Path, stage: str) -> set[str]:
    """Ids of the finished samples of a stage."""
    folders = (outputs / "artifacts" / stage).glob("*/")
    return {sample_id for folder in folders for sample_id in stored_digests(folder)}


def shards(outputs: Path, stage: str) -> dict[Shard, list[str]]:
    """Ids of the samples in each file of a stage."""
    folders = (outputs / "artifacts" / stage).glob("*/")
    found = [shard for folder in folders for shard in shards_in(folder)]
    return {shard: [row.sample for row in rows_of(shard)] for shard in found}


def masks(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run_dir / "masks").glob("*.png")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish(tmp_path_factory.mktemp("undisturbed"))


def test_killed_twice_and_resumed_equals_an_undisturbed_run(tmp_path: Path, undisturbed: Path) -> None:
    assert kill_in(tmp_path, "saliency") < 10
    before = shards(tmp_path, "saliency")
    assert kill_in(tmp_path, "sam_mask") < 10
    resumed = finish(tmp_path)
    assert masks(resumed) == masks(undisturbed)
    assert len(masks(resumed)) == 10
    again = [sample_id for _, ids in shards(tmp_path, "saliency").items() for sample_id in ids]
    assert before.items() <= shards(tmp_path, "saliency").items()
    assert len(again) == 10, "a finished sample was redone"


def test_two_processes_give_the_masks_of_one(tmp_path: Path, undisturbed: Path) -> None:
    run_dir = finish(tmp_path, "trainer=ddp", "trainer.devices=2")
    assert masks(run_dir) == masks(undisturbed)
    one, two = (json.loads((folder / "summary.json").read_text()) for folder in (undisturbed, run_dir))
    assert one["metrics"] == two["metrics"]
    assert one["keys"] == two["keys"]
    assert two["timing"]["saliency"]["images"] == 10


def test_a_dead_process_fails_the_job(tmp_path: Path) -> None:
    done = subprocess.run(
        command(
            tmp_path, *TEN_IN_BATCHES, "trainer=ddp", "trainer.devices=2", "sam.checkpoint=/no/such/file.pth"
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "error: " in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["saliency.layer=77"], "error: saliency.layer=77, but tiny has 6 layers, counted from 0 to 5"),
        (["saliency.betta=1"], "saliency=m2ib has no key betta; did you mean saliency.beta?"),
        (["data=folder", "data.root=nowhere"], "error: data.root=nowhere is not a folder"),
    ],
)
def test_a_mistake_ends_with_one_sentence_and_no_traceback(
    tmp_path: Path, overrides: list[str], sentence: str
) -> None:
    done = subprocess.run(
        command(tmp_path, *overrides),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
