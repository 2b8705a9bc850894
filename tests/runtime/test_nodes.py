"""Jobs on several machines: who is who from SLURM's variables, and the command that starts the group."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medsam_exp.cli.runner import run
from medsam_exp.runtime.distributed import torchrun_command
from medsam_exp.runtime.nodes import Nodes, is_first_node, job_nodes
from medsam_exp.types import UserError
from tests.compose import CONF, composed

SLURM = {
    "SUBMITIT_EXECUTOR": "slurm",
    "SLURM_JOB_NUM_NODES": "3",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "1234567",
    "SLURM_JOB_NODELIST": "gpu[07-08],fat1",
}


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("slurm")
def test_the_machines_of_a_job_are_read_from_slurm() -> None:
    assert job_nodes() == Nodes(count=3, own=1, first="gpu07", port=20000 + 1234567 % 10000)
    assert not is_first_node()


@pytest.mark.parametrize(("name", "value"), [("SUBMITIT_EXECUTOR", "local"), ("SLURM_JOB_NUM_NODES", "1")])
def test_a_job_on_one_machine_or_a_shell_in_an_allocation_has_no_nodes(
    slurm: pytest.MonkeyPatch, name: str, value: str
) -> None:
    slurm.setenv(name, value)
    assert job_nodes() is None
    assert is_first_node()


def test_one_machine_starts_its_group_alone() -> None:
    command = torchrun_command("a.module", ["folder"], 4)
    assert command == [
        sys.executable, "-m", "medsam_exp.runtime.distributed", "--standalone", "--nproc_per_node=4",
        "-m", "a.module", "folder",
    ]  # fmt: skip


def test_each_of_several_machines_starts_its_part_of_one_group() -> None:
    nodes = [Nodes(2, own, "gpu07", 24567) for own in range(2)]
    commands = [torchrun_command("a.module", ["folder"], 4, node) for node in nodes]
    assert commands[0][3:] == [
        "--nnodes=2", "--node_rank=0", "--master_addr=gpu07", "--master_port=24567", "--nproc_per_node=4",
        "-m", "a.module", "folder",
    ]  # fmt: skip
    assert [a for a, b in zip(*commands, strict=True) if a != b] == ["--node_rank=0"]


def test_several_machines_without_slurm_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"num_nodes=2, but this job has 1; .* hydra/launcher=slurm_ddp"):
        run(composed("trainer=ddp", "trainer.num_nodes=2"), tmp_path, {}, [])


@pytest.mark.usefixtures("slurm")
def test_more_machines_than_the_configuration_speaks_of_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="num_nodes=1, but this job has 3"):
        run(composed(), tmp_path, {}, [])


SMALL = (
    "clip=tiny_random",
    "sam=tiny_scratch",
    "saliency.steps=2",
    "saliency.noise_samples=1",
    "data.count=5",
)
RUN = """
import sys
from pathlib import Path
from medsam_exp.cli.runner import run
from tests.compose import composed
run(composed(*sys.argv[2:]), Path(sys.argv[1]), {}, [])
"""


@pytest.mark.slow
def test_two_machines_give_what_one_gives(tmp_path: Path) -> None:
    """Two processes that are told what SLURM tells two machines; both are this one."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
    run(composed(*SMALL, f"paths.outputs={tmp_path}/1"), alone, {}, [])
    of_both = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2")
    command = [sys.executable, "-c", RUN, str(together), *SMALL, *of_both, f"paths.outputs={tmp_path}/2"]
    slurm = {
        **SLURM,
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "localhost,localhost",
        "SLURM_NTASKS": "2",
    }
    machines = [
        subprocess.Popen(command, cwd=CONF.parent, env={**os.environ, **slurm, "SLURM_NODEID": own})
        for own in "01"
    ]
    assert [machine.wait(500) for machine in machines] == [0, 0]
    for name in ("per_image.csv", "masks"):
        one, two = alone / name, together / name
        files = sorted(one.iterdir()) if one.is_dir() else [one]
        assert files
        for file in files:
            assert file.read_bytes() == (two / file.name if two.is_dir() else two).read_bytes()
