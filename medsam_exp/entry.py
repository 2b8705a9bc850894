"""The way into every run: `python run.py OPTIONS` in a checkout, `medsam-exp run OPTIONS` anywhere.

One's own choices (a dataset's YAML, say) lie in `conf/GROUP/` of the folder where the command is started, or in any
folder that `--config-dir FOLDER` names; they come before those of the package.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from medsam_exp.conf_folder import conf_folder
from medsam_exp.config import register
from medsam_exp.types import UserError

_OWN = Path("conf")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for; exit with one sentence on bad input.

    Args:
        arguments: options of Hydra, `GROUP=CHOICE` and `KEY=VALUE`; None for those of this process.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if _has_own_choices(Path.cwd()) and not any(_names_a_folder(option) for option in typed):
        typed = ["--config-dir", str(_OWN), *typed]
    sys.argv[1:] = typed  # Hydra reads them there
    register()
    hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(job)()


def job(cfg: DictConfig) -> None:
    """Run one job; it has this module's name, so that launchers can send it to other processes."""
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


def _has_own_choices(folder: Path) -> bool:
    """Whether there are choices to add; a folder with a `config.yaml` is a whole project's."""
    own = folder / _OWN
    return own.is_dir() and not (own / "config.yaml").exists() and any(own.glob("*/*.yaml"))


def _names_a_folder(option: str) -> bool:
    """Whether an option says where configurations lie (Hydra's `-cd`, `--config-dir`, `-cp`, `--config-path`)."""
    return option.partition("=")[0] in ("-cd", "--config-dir", "-cp", "--config-path")
