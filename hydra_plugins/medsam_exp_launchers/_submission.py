"""Jobs of a sweep handed to submitit; Hydra leaves out modules named so when it looks for launchers.

hydra-submitit-launcher does the work of submitting, of pickling, of going on after a time limit or a pre-emption. But
it fetches results in order, and the first job that has none, because it was killed, ends the sweep with an error and
without a word about the others. Here all jobs are waited for, and the status of each is read from disk.
"""

import logging
import shutil
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

from medsam_exp.sweep.launch import LaunchedJob, job_returns, pending_jobs
from medsam_exp.sweep.status import record_failure, status_of

log = logging.getLogger("medsam_exp.sweep")

_OF_THE_EXECUTOR = ("submitit_folder", "max_num_timeout")


class Submission(BaseSubmititLauncher):  # type: ignore[misc]
    """Submits the jobs that are not done as one array, and waits for them.

    Args:
        cluster: "slurm", or "local" for processes of this machine, all at once, to rehearse with.
        params: what submitit asks of the cluster for each job.
    """

    def __init__(self, cluster: str, **params: Any) -> None:
        super().__init__(**params)
        self.cluster = cluster

    def executor(self) -> Any:
        """Submitit's executor, with what is asked for each job.

        Raises:
            SystemExit: this machine has no SLURM.
        """
        import submitit

        if self.cluster == "slurm" and shutil.which("srun") is None:
            raise SystemExit(
                "error: hydra/launcher=slurm needs SLURM's srun and sbatch; start the sweep where they are, "
                "or use hydra/launcher=processes"
            )
        limit = {f"{self.cluster}_max_num_timeout": self.params["max_num_timeout"]}
        executor = submitit.AutoExecutor(self.params["submitit_folder"], cluster=self.cluster, **limit)
        asked = {key: value for key, value in self.params.items() if key not in _OF_THE_EXECUTOR}
        executor.update_parameters(
            **{
                key if key in BaseQueueConf.__dataclass_fields__ else f"{self.cluster}_{key}": value
                for key, value in asked.items()
            }
        )
        return executor

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs and wait; the status of each is in its folder.

        Ending this process ends no submitted job: the same command again waits for those that still run.
        """
        import submitit

        from medsam_exp.cli.runner import plan_digest

        assert self.hydra_context is not None
        assert self.config is not None
        jobs = pending_jobs(self.hydra_context, self.config, job_overrides, initial_job_idx, plan_digest)
        for job in jobs:
            self._refuse_other_machines(job)
        if jobs:
            state = Singleton.get_state()
            arguments = [
                (job.overrides, "hydra.sweep.dir", job.number, str(job.number), state) for job in jobs
            ]
            submitted = self.executor().map_array(self, *zip(*arguments, strict=True))
            launched = {task.job_id: job for task, job in zip(submitted, jobs, strict=True)}
            log.info("%-12s %d jobs submitted, %s to %s", "sweep", len(jobs), *_ends(list(launched)))
            for task in submitit.helpers.as_completed(submitted, poll_frequency=1):
                _report(task, launched[task.job_id])
        return job_returns(job_overrides)

    def _refuse_other_machines(self, job: LaunchedJob) -> None:
        """Each machine starts its share of a job's processes itself, so both sides must speak of the same machines."""
        asked, given = job.config.trainer.get("num_nodes", 1), self.params["nodes"]
        if asked != given or self.params["tasks_per_node"] != 1:
            raise SystemExit(
                f"error: trainer.num_nodes={asked}, but hydra.launcher.nodes={given} and tasks_per_node="
                f"{self.params['tasks_per_node']}; give as many nodes, and one task on each (hydra/launcher=slurm_ddp)"
            )


def _report(task: Any, job: LaunchedJob) -> None:
    if status_of(job.folder) == "missing":
        record_failure(job.folder, f"it ended without a result ({task.state}); see {task.paths.stderr}")
    log.info("%-12s %s: %s", "job", job.folder.name, status_of(job.folder))


def _ends(names: Sequence[str]) -> tuple[str, str]:
    return names[0], names[-1]
