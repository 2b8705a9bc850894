"""Which machine of a job is this? SLURM starts one task on each node of a job with several; asked without torch."""

import os
from dataclasses import dataclass

from medsam_exp.runtime.extras import require

_PORTS = range(20000, 30000)
"""Below those that systems give out by themselves."""


@dataclass(frozen=True)
class Nodes:
    """The machines of one job, as one of them sees them.

    Attributes:
        count: how many there are.
        own: number of this one, from 0.
        first: name of number 0, where the others find the group.
        port: on `first`; of its own for each job, as several jobs may share a machine.
    """

    count: int
    own: int
    first: str
    port: int


def job_nodes() -> Nodes | None:
    """The machines of a job with several, from SLURM's variables; None for a job on one machine.

    A shell within an allocation has these variables too, so only what the sweep's launcher started counts.
    """
    count = int(os.environ.get("SLURM_JOB_NUM_NODES", 1))
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm" or count == 1:
        return None
    require("submitit")
    from submitit.slurm.slurm import SlurmJobEnvironment  # reads "gpu[01-03,07]"

    port = _PORTS[int(os.environ["SLURM_JOB_ID"]) % len(_PORTS)]
    return Nodes(count, int(os.environ["SLURM_NODEID"]), SlurmJobEnvironment().hostnames[0], port)


def is_first_node() -> bool:
    """Whether this machine keeps the job's books: its status, its folder, its summary."""
    nodes = job_nodes()
    return nodes is None or nodes.own == 0
