"""Jobs on several machines: who is who from SLURM's variables, and the command that starts the group."""

import sys

import pytest

from medsam_exp.distributed import torchrun_command
from medsam_exp.nodes import Nodes, is_first_node, job_nodes
from medsam_exp.runner import run
from medsam_exp.types import UserError
from tests.compose import composed

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
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4", "-m", "a.module", "folder",
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
