"""What every launcher does first: which jobs of the sweep are left, where each writes, what each needs."""

import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from medsam_exp.sweep.jobs import Planner, done_before

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LaunchedJob:
    """A job of a sweep before it runs.

    Attributes:
        number: in its sweep.
        overrides: its part of the command line.
        config: composed for it, with Hydra's own part.
        folder: where it writes.
    """

    number: int
    overrides: list[str]
    config: DictConfig
    folder: Path

    def gpus(self, pool: Sequence[str]) -> int:
        """How many GPUs of those that there are it works on; where there are none it says so itself."""
        on_gpus = self.config.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda")
        return self.processes if pool and on_gpus else 0

    @property
    def processes(self) -> int:
        """How many processes work on it on one machine."""
        devices = self.config.trainer.get("devices", 1)
        return devices if isinstance(devices, int) else 1  # what is wrong with another value it says itself


def jobs_to_run(
    context: HydraContext,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    plan: Planner,
) -> list[LaunchedJob]:
    """The jobs that are not done, composed; a done job needs no process, no GPU and no place in a queue.

    Args:
        context: Hydra's.
        config: of the sweep.
        job_overrides: of each job.
        first: number of the first one.
        plan: tells what a job would compute.
    """
    setup_globals()
    jobs = []
    for number, overrides in enumerate(job_overrides, first):
        job = context.config_loader.load_sweep_config(config, list(overrides))
        with read_write(job), open_dict(job):
            job.hydra.job.id = str(number)
            job.hydra.job.num = number
        folder = Path(str(job.hydra.sweep.dir)) / str(job.hydra.sweep.subdir)
        if done_before(_without_hydra(job), folder, plan):
            log.info("%-12s %s: done before", "job", folder.name)
        else:
            jobs.append(LaunchedJob(number, list(overrides), job, folder))
    return jobs


def results_are_on_disk(job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """What Hydra wants to be told of each job; the sweep itself reads what the jobs wrote."""
    return [JobReturn(overrides=list(one), status=JobStatus.COMPLETED) for one in job_overrides]


def _without_hydra(job: DictConfig) -> DictConfig:
    own = deepcopy(job)
    OmegaConf.set_struct(own, False)
    with read_write(own):
        del own["hydra"]
    return own
