"""`hydra/launcher=processes`: several jobs of a sweep at once on this machine, each a process of its own."""

from collections.abc import Sequence
from functools import partial

from hydra.core.utils import JobReturn, run_job
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from medsam_exp.runtime.gpus import visible_gpus
from medsam_exp.runtime.threads import threads_per_process
from medsam_exp.sweep.devices import limit_threads, reserved_gpus
from medsam_exp.sweep.launch import LaunchedJob, job_returns, pending_jobs, run_processes
from medsam_exp.sweep.status import record_failure


class ProcessesLauncher(Launcher):
    """Starts a process for each job that is not done; no two of them get the same GPU, or more cores than there are.

    Args:
        n_jobs: how many at once.

    Raises:
        SystemExit: that is no number of processes.
    """

    def __init__(self, n_jobs: int) -> None:
        if not isinstance(n_jobs, int) or n_jobs < 1:
            raise SystemExit(
                f"error: hydra.launcher.n_jobs={n_jobs}, but it must be a number of processes, 1 or more"
            )
        self._n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra gives every launcher."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; the status of each is in its folder."""
        from medsam_exp.cli.runner import plan_digest

        gpus = visible_gpus()
        jobs = pending_jobs(self._context, self._config, job_overrides, initial_job_idx, plan_digest)
        run_processes(
            {job.folder: partial(self._run, job, gpus) for job in jobs}, self._n_jobs, record_failure
        )
        return job_returns(job_overrides)

    def _run(self, job: LaunchedJob, gpus: Sequence[str]) -> None:
        limit_threads(max(1, threads_per_process(self._n_jobs) // job.processes))
        with reserved_gpus(job.gpus(gpus), gpus):
            done = run_job(
                hydra_context=self._context,
                task_function=self._task,
                config=job.config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            _ = done.return_value  # raises what the job itself could not write down
