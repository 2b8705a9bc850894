"""`hydra/launcher=slurm`, `slurm_ddp`, `slurm_rehearsal`: the jobs of a sweep handed to SLURM, or to its stand-in.

Hydra imports every launcher in each run, and submitit is an extra; so what needs submitit lies in `_submission`.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from medsam_exp.runtime.extras import EXTRAS, require
from medsam_exp.types import UserError


class SubmittedLauncher(Launcher):
    """Submits the jobs that are not done as one array, and waits for them.

    Args:
        cluster: "slurm", or "local" for processes of this machine, all at once, to rehearse with.
        params: what submitit asks of the cluster for each job.

    Attributes:
        submission: what hands the jobs to submitit.

    Raises:
        SystemExit: submitit, or Hydra's launcher for it, is not installed.
    """

    def __init__(self, cluster: str, **params: Any) -> None:
        try:
            require("submitit")
            require("hydra_plugins.hydra_submitit_launcher", EXTRAS["submitit"])
        except UserError as error:
            raise SystemExit(f"error: {error}") from error
        from hydra_plugins.medsam_exp_launchers._submission import Submission

        self.submission = Submission(cluster, **params)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra gives every launcher."""
        self.submission.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs and wait; the status of each is in its folder."""
        return self.submission.launch(job_overrides, initial_job_idx)
