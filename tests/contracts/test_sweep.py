"""Every file of conf/sweep names choices that exist, and several files together run their product without -m."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.compose import CONF, composed

ROOT = CONF.parent
SWEEPS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
SMALL = [
    "clip=tiny_random",
    "sam=tiny_scratch",
    "saliency.steps=2",
    "saliency.noise_samples=1",
    "data.count=2",
]


def axes(name: str) -> dict[str, list[str]]:
    """What a sweep file varies: values by key."""
    content = yaml.safe_load((CONF / "sweep" / f"{name}.yaml").read_text())
    assert content["hydra"]["mode"] == "MULTIRUN"
    return {key: str(values).split(",") for key, values in content["hydra"]["sweeper"]["params"].items()}


JOBS = [
    (name, [f"{key}={value}" for key, value in zip(axes(name), values, strict=True)])
    for name in SWEEPS
    for values in itertools.product(*axes(name).values())
]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_file_says_what_it_is_and_has_several_jobs(name: str) -> None:
    package, comment = (CONF / "sweep" / f"{name}.yaml").read_text().splitlines()[:2]
    assert package == "# @package _global_"
    assert comment.startswith("# ")
    assert all(len(values) == len(set(values)) > 1 for values in axes(name).values())


@pytest.mark.parametrize(
    ("name", "job"), JOBS, ids=lambda value: " ".join(value) if isinstance(value, list) else value
)
def test_every_job_of_every_sweep_composes(name: str, job: list[str]) -> None:
    base = "+experiment=component_ablation" if name == "component_ablation" else "+experiment=demo"
    composed(base, f"+sweep={name}", *job)


def sweep(outputs: Path, *overrides: str) -> tuple[int, list[Path], str]:
    """Run a sweep; return its exit code, the folders of its jobs in their order, and what it said."""
    done = subprocess.run(
        [
            sys.executable,
            "run.py",
            *SMALL,
            f"paths.outputs={outputs}",
            *overrides,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    record = next((outputs / "sweeps").glob("*/*/sweep.json"))
    jobs = [record.parent / job["folder"] for job in json.loads(record.read_text())["jobs"]]
    return done.returncode, jobs, done.stdout + done.stderr


def test_two_files_run_their_product_and_each_job_can_be_repeated(tmp_path: Path) -> None:
    code, jobs, said = sweep(
        tmp_path, "+sweep=[seeds,component_filter]", "seed=0", "component_filter=none,largest"
    )
    assert code == 0, said
    summaries = [json.loads((job / "summary.json").read_text()) for job in jobs]
    assert [summary["choices"]["component_filter"] for summary in summaries] == ["none", "largest"]
    assert all("sweep" not in summary["command"] for summary in summaries), "the command repeats one run"
    assert summaries[1]["timing"]["saliency"]["cached"] == 2


def test_a_failing_job_does_not_stop_the_others(tmp_path: Path) -> None:
    side_by_side = "hydra/launcher=processes"
    code, jobs, said = sweep(tmp_path, "+sweep=seeds", "seed=0", "component_filter.count=0,1", side_by_side)
    assert code != 0
    assert "component_filter: count is 0" in said
    assert [(job / "summary.json").is_file() for job in jobs] == [False, True]
