"""Every file of conf/hydra/launcher: what it is, what it composes to, what SLURM would be asked."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from medsam_exp.cli.compose import register
from medsam_exp.sweep.launch import LaunchedJob
from tests.compose import CONF

LAUNCHERS = sorted(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml"))
DDP = ("trainer=ddp", "trainer.devices=4", "trainer.num_nodes=2")


def composed_sweep(*overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", ["hydra.mode=MULTIRUN", *overrides], return_hydra_config=True)


def launcher(cfg: DictConfig) -> Any:
    """As Hydra makes it."""
    made = Plugins.instance()._instantiate(cfg.hydra.launcher)
    assert isinstance(made, Launcher)
    return made


def sbatch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *overrides: str) -> list[str]:
    """Lines of the file that submitit would hand to sbatch."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    folder = f"hydra.launcher.submitit_folder={tmp_path}"
    executor = launcher(composed_sweep(folder, *overrides)).submission.executor()
    return executor._executor._make_submission_file_text("python job", "0").splitlines()


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_launcher_says_what_it_is_and_is_one_of_hydras(name: str) -> None:
    first = (CONF / "hydra" / "launcher" / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    launcher(composed_sweep(f"hydra/launcher={name}", "trainer=ddp"))


@pytest.mark.parametrize("count", ["0", "-2", "many", "null"])
def test_no_processes_at_all_is_one_sentence(count: str) -> None:
    with pytest.raises(SystemExit, match=r"hydra.launcher.n_jobs=\S+, but it must be a number of processes"):
        launcher(composed_sweep("hydra/launcher=processes", f"hydra.launcher.n_jobs={count}"))


def test_slurm_is_asked_for_time_memory_a_gpu_and_to_queue_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = sbatch(monkeypatch, tmp_path, "hydra/launcher=slurm", "hydra.launcher.partition=gpu", "name=busi")
    for line in (
        "#SBATCH --time=240", "#SBATCH --mem=32GB", "#SBATCH --gpus-per-node=1", "#SBATCH --cpus-per-task=8",
        "#SBATCH --nodes=1", "#SBATCH --ntasks-per-node=1", "#SBATCH --partition=gpu", "#SBATCH --job-name=busi",
        "#SBATCH --requeue", "#SBATCH --signal=USR2@120", "export OMP_NUM_THREADS=8",
    ):  # fmt: skip
        assert line in asked
    assert not [line for line in asked if "None" in line or "account" in line]


def test_a_job_over_several_machines_asks_for_each_machines_gpus_and_one_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = sbatch(monkeypatch, tmp_path, "hydra/launcher=slurm_ddp", *DDP)
    for line in (
        "#SBATCH --nodes=2", "#SBATCH --gpus-per-node=4", "#SBATCH --ntasks-per-node=1", "#SBATCH --cpus-per-task=32",
        "export OMP_NUM_THREADS=$((32 / 4))", "#SBATCH --requeue",
    ):  # fmt: skip
        assert line in asked


def test_without_slurm_the_launcher_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="needs SLURM's srun and sbatch"):
        launcher(composed_sweep("hydra/launcher=slurm")).submission.executor()


@pytest.mark.parametrize(
    ("overrides", "fits"),
    [
        (["hydra/launcher=slurm"], True),
        (["hydra/launcher=slurm_ddp", *DDP], True),
        (["hydra/launcher=slurm", *DDP], False),
        (["hydra/launcher=slurm", "hydra.launcher.nodes=2"], False),
        (["hydra/launcher=slurm", "hydra.launcher.tasks_per_node=4"], False),
    ],
)
def test_machines_that_slurm_gives_and_the_trainer_does_not_use_are_refused(
    overrides: list[str], fits: bool
) -> None:
    cfg = composed_sweep(*overrides)
    job = LaunchedJob(0, [], cfg, Path())
    if fits:
        launcher(cfg).submission._refuse_other_machines(job)
    else:
        with pytest.raises(SystemExit, match=r"trainer.num_nodes=\d, but hydra.launcher.nodes="):
            launcher(cfg).submission._refuse_other_machines(job)


@pytest.mark.parametrize(
    ("overrides", "pool", "gpus", "processes"),
    [
        (["trainer=cpu"], ["GPU-a"], 0, 1),
        (["trainer=gpu"], ["GPU-a"], 1, 1),
        (["trainer=ddp", "trainer.devices=3"], ["GPU-a"], 3, 3),
        (["trainer=ddp", "trainer.devices=3"], [], 0, 3),
        (["trainer=gpu"], [], 0, 1),
    ],
)
def test_a_job_takes_as_many_gpus_as_it_has_devices(
    overrides: list[str], pool: list[str], gpus: int, processes: int
) -> None:
    job = LaunchedJob(0, [], composed_sweep(*overrides), Path())
    assert (job.gpus(pool), job.processes) == (gpus, processes)
