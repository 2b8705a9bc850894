"""Sweeps from the command line to their end, over several processes, through deaths, signals and each other."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.compose import CONF

pytestmark = pytest.mark.slow

SMALL = (
    "clip=tiny_random", "sam=tiny_scratch", "saliency.steps=2", "saliency.noise_samples=1", "data.count=6",
    "report_cases=1",
)  # fmt: skip
KILLED = "component_filter=largest,seed=1"
GRID = ("seed=0,1", "component_filter=none,largest")
ISOLATING = ["processes", "slurm_rehearsal"]


def start(outputs: Path, *overrides: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "run.py", "-m", *SMALL, f"paths.outputs={outputs}", *overrides]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=CONF.parent, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def finish(sweep: "subprocess.Popen[str]") -> tuple[int, str]:
    said = sweep.communicate(timeout=600)[0]
    print(said)
    return sweep.returncode, said


def folders(outputs: Path, name: str = "dev") -> dict[str, Path]:
    """Folders of a sweep's jobs by name."""
    return {path.parent.name: path.parent for path in (outputs / "sweeps" / name).glob("*/*/.hydra")}


def computed(outputs: Path) -> Counter[str]:
    """Samples that all jobs of all sweeps together computed, by stage."""
    total: Counter[str] = Counter()
    for path in (outputs / "sweeps").glob("*/*/*/summary.json"):
        total.update(
            {stage: cost["images"] for stage, cost in json.loads(path.read_text())["timing"].items()}
        )
    return total


def scores(outputs: Path) -> dict[str, str]:
    """Table of scores by job."""
    return {name: (folder / "per_image.csv").read_text() for name, folder in folders(outputs).items()}


def process_of(job: Path) -> psutil.Process:
    """The process that works on a job, as soon as there is one."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        for process in psutil.process_iter():
            try:
                if str(job / "run.log") in {file.path for file in process.open_files()}:
                    return process
            except psutil.Error:
                continue
        time.sleep(0.02)
    raise AssertionError(f"no process works on {job}")


def sweep_folder(outputs: Path, sweep: "subprocess.Popen[str]") -> Path:
    """The sweep's folder, as soon as there is one."""
    while not (outputs / "sweeps" / "dev").is_dir():
        assert sweep.poll() is None
        time.sleep(0.1)
    return next((outputs / "sweeps" / "dev").iterdir())


def signal_job(outputs: Path, sweep: "subprocess.Popen[str]", number: int) -> psutil.Process:
    """Send a signal to the process of the job KILLED while it works."""
    process = process_of(sweep_folder(outputs, sweep) / KILLED)
    os.kill(process.pid, number)
    return process


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep, one job after the other."""
    outputs = tmp_path_factory.mktemp("serial")
    code, said = finish(start(outputs, *GRID))
    assert code == 0, said
    return outputs


def test_processes_side_by_side_give_what_one_gives_and_compute_nothing_twice(
    tmp_path: Path, serial: Path
) -> None:
    code, said = finish(start(tmp_path, *GRID, "hydra/launcher=processes"))
    assert code == 0, said
    assert "4 of 4 jobs done" in said
    assert scores(tmp_path) == scores(serial)
    assert computed(tmp_path) == computed(serial) == {"saliency": 12, **dict.fromkeys(CHEAP, 24)}


CHEAP = ("coarse_mask", "sam_mask", "evaluate")


@pytest.mark.parametrize("launcher", ISOLATING)
def test_a_killed_job_is_named_the_others_finish_and_the_same_command_completes(
    launcher: str, tmp_path: Path, serial: Path
) -> None:
    sweep = start(tmp_path, *GRID, f"hydra/launcher={launcher}")
    signal_job(tmp_path, sweep, signal.SIGKILL)
    code, said = finish(sweep)
    assert code == 1
    assert "3 of 4 jobs done" in said
    assert re.search(
        rf"failed +{KILLED}: (its process was killed by SIGKILL|it ended without a result)", said
    )
    code, said = finish(start(tmp_path, *GRID, f"hydra/launcher={launcher}"))
    assert code == 0
    assert "4 of 4 jobs done (3 before)" in said
    assert scores(tmp_path) == scores(serial)


def test_a_job_that_submitit_tells_to_stop_is_queued_again_and_goes_on(tmp_path: Path, serial: Path) -> None:
    sweep = start(tmp_path, *GRID, "hydra/launcher=slurm_rehearsal")
    first = signal_job(tmp_path, sweep, signal.SIGUSR2)
    code, said = finish(sweep)
    assert code == 0, said
    assert "4 of 4 jobs done" in said
    logs = "".join(path.read_text() for path in (tmp_path / "sweeps").glob("dev/*/.submitit/*/*_log.*"))
    assert "Requeued job" in logs
    assert not first.is_running()
    assert scores(tmp_path) == scores(serial)


@pytest.mark.parametrize("names", [("dev", "dev"), ("dev", "other")], ids=["the same twice", "two"])
def test_two_sweeps_at_once_on_one_store_compute_nothing_twice(
    names: tuple[str, str], tmp_path: Path, serial: Path
) -> None:
    launcher = ("hydra/launcher=processes", "hydra.launcher.n_jobs=2")
    sweeps = [start(tmp_path, *GRID, *launcher, f"name={name}") for name in names]
    for sweep in sweeps:
        code, said = finish(sweep)
        assert code == 0, said
        assert "4 of 4 jobs done" in said
    assert computed(tmp_path) == computed(serial)
    assert scores(tmp_path) == scores(serial)


def test_the_processes_of_a_killed_job_over_two_devices_end_with_it(tmp_path: Path) -> None:
    over_two = ("trainer=ddp", "trainer.accelerator=cpu", "saliency.steps=10", "data.count=200")
    sweep = start(tmp_path, *over_two, "seed=1", "component_filter=largest,none", "hydra/launcher=processes")
    job = sweep_folder(tmp_path, sweep) / "component_filter=largest"
    own = process_of(job)
    while not (
        workers := [
            one for one in own.children(recursive=True) if "medsam_exp.cli.worker" in one.cmdline()[3]
        ]
    ):
        time.sleep(0.1)
    own.kill()
    assert not psutil.wait_procs(workers, timeout=60)[1]
    sweep.terminate()
    assert finish(sweep)[0] == 128 + signal.SIGTERM
    lines = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if str(tmp_path) in line]


def test_no_job_starts_after_a_failure_that_is_to_stop_all(tmp_path: Path) -> None:
    grid = ("component_filter.count=0,1,2,3,4,5", "sweep.fail_fast=true", "hydra/launcher=processes")
    code, said = finish(start(tmp_path, *grid))
    assert code == 1
    done = int(re.findall(r"(\d) of 6 jobs done", said)[-1])
    assert done <= 1, "only the job that ran beside the failing one"
    assert "component_filter: count is 0" in said


def test_a_lock_that_a_dead_process_held_is_taken_over_while_others_wait(tmp_path: Path) -> None:
    """One job computes the shared maps and is killed at it; the other, which waits, computes them itself."""
    grid = ("component_filter=none,largest", "data.count=40", "saliency.steps=10", "hydra/launcher=processes")
    sweep = start(tmp_path, *grid)
    waits, killed = "saliency     waits for another", None
    while killed is None:
        assert sweep.poll() is None, sweep.communicate()
        logs = {path: path.read_text() for path in (tmp_path / "sweeps").glob("dev/*/*/run.log")}
        if any(waits in text for text in logs.values()):
            holder = next(path for path, text in logs.items() if waits not in text)
            killed = holder.parent.name
            process_of(holder.parent).kill()
        time.sleep(0.02)
    code, said = finish(sweep)
    assert code == 1
    assert "1 of 2 jobs done" in said
    assert f"{killed}: its process was killed by SIGKILL" in said
