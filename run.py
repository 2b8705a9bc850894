"""The one entry: `python run.py +experiment=busi_zeroshot`; see `python run.py --help`."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from medsam_exp.config import register
from medsam_exp.types import UserError

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Run one job."""
    from medsam_exp.runner import plan_digest, run  # here, so that --help and --cfg answer at once
    from medsam_exp.sweep.jobs import attempt
    from medsam_exp.tracking.job import sweep_job

    job = HydraConfig.get()
    folder, choices, typed = Path(job.runtime.output_dir), dict(job.runtime.choices), list(job.overrides.task)

    def work() -> None:
        run(cfg, folder, choices, typed, sweep_job(job))

    if job.mode == RunMode.MULTIRUN:
        attempt(cfg, folder, work, plan_digest)
        return
    try:
        work()
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
