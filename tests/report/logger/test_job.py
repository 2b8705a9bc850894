"""How runs are named: by what their sweep varies."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.types import RunMode

from medsam_exp.report.logger.job import SweepJob, TrackedRun, sweep_job


def test_a_job_is_named_by_what_its_sweep_varies() -> None:
    job = SweepJob("id", {"saliency": "gradcam", "+component_ablation": "2_finetuned", "seed": 1})
    assert (
        TrackedRun(Path(), "run", sweep=job).title == "saliency=gradcam,component_ablation=2_finetuned,seed=1"
    )
    assert TrackedRun(Path(), "run").title == "run"
    choices = {
        "data": "busi",
        "text": "free",
        "clip": "tiny",
        "saliency": "m2ib",
        "prompt": "box",
        "sam": "vit_b",
    }
    job = SweepJob("id", {"saliency": "m2ib", "seed": "1", "saliency.beta": "0.5"})
    named = TrackedRun(Path(), "run", {"seed": 1}, choices, sweep=job)
    assert named.title == "busi-tiny-m2ib-box-vit_b-1,saliency.beta=0.5"
    assert len(TrackedRun(Path(), "run", sweep=SweepJob("i", {"text": "x" * 500})).title) <= 128


def test_the_configuration_is_flat_and_knows_the_choices() -> None:
    tracked = TrackedRun(
        Path(),
        "run",
        {"seed": 7, "saliency": {"beta": 1.0, "space": {}}, "stages": ["a"]},
        {"saliency": "m2ib"},
    )
    assert tracked.flat_config == {
        "seed": 7,
        "saliency": "m2ib",
        "saliency/beta": 1.0,
        "saliency/space": {},
        "stages": ["a"],
    }


def hydra(folder: Path, mode: RunMode, task: list[str]) -> SimpleNamespace:
    return SimpleNamespace(
        mode=mode,
        sweep=SimpleNamespace(dir=str(folder)),
        launcher={"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
        sweeper=SimpleNamespace(params={"saliency": "m2ib,gradcam"}),
        overrides=SimpleNamespace(task=task),
    )


def test_axes_come_from_sweep_files_and_from_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "ablation" / "some id"
    folder.mkdir(parents=True)
    (folder / "multirun.yaml").write_text(
        "hydra: {overrides: {task: ['seed=0,1', 'clip=tiny', 'data.count=6']}}"
    )
    task = ["seed=1", "clip=tiny", "data.count=6", "saliency=gradcam"]
    job = sweep_job(hydra(folder, RunMode.MULTIRUN, task))  # type: ignore[arg-type]
    assert job == SweepJob(
        "some id", {"seed": "1", "saliency": "gradcam"}, shares_console=True, name="ablation"
    )
    assert job.group == "ablation-some id"
    elsewhere = hydra(folder, RunMode.MULTIRUN, task)
    elsewhere.launcher = {"_target_": "medsam_exp.sweep.Processes"}
    job = sweep_job(elsewhere)  # type: ignore[arg-type]
    assert job is not None
    assert not job.shares_console
    without_file = hydra(folder, RunMode.MULTIRUN, task)
    without_file.sweeper.params = None  # as Hydra has it for -m
    job = sweep_job(without_file)  # type: ignore[arg-type]
    assert job is not None
    assert job.varied == {"seed": "1"}


def test_a_run_on_its_own_is_in_no_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert sweep_job(hydra(tmp_path, RunMode.RUN, ["saliency=gradcam"])) is None  # type: ignore[arg-type]


def test_a_run_of_a_wandb_agent_is_named_by_what_the_agent_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wandb.sdk.lib import config_util

    path = tmp_path / "config.yaml"
    config_util.save_config_file_from_dict(
        str(path), {"saliency": {"value": "m2ib"}, "saliency.beta": {"value": 0.5}}
    )
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(path))
    job = sweep_job(hydra(tmp_path, RunMode.RUN, ["saliency=m2ib"]))  # type: ignore[arg-type]
    assert job == SweepJob("abc123", {"saliency": "m2ib", "saliency.beta": 0.5})
