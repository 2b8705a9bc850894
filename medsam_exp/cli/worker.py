"""One process of a job with several devices: `python -m medsam_exp.cli.worker RUN_DIR`, started by the runner."""

import json
import logging
import sys
from pathlib import Path

from omegaconf import OmegaConf

from medsam_exp.cli.runner import LOST_FILE, execute
from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import LostRecordError


def main(run_dir: Path) -> None:
    """Execute the job that the runner left in `run_dir`."""
    cfg = OmegaConf.load(run_dir / "job.yaml")
    OmegaConf.set_readonly(cfg, True)
    _log_to(run_dir / "run.log")
    try:
        execute(cfg, run_dir, json.loads((run_dir / "job.json").read_text()))  # type: ignore[arg-type]
    except LostRecordError:
        (run_dir / LOST_FILE).touch()
        raise


def _log_to(path: Path) -> None:
    handlers: list[logging.Handler] = [logging.FileHandler(path)]
    if distributed.rank() == 0:
        handlers.append(logging.StreamHandler(sys.stdout))
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=handlers)
    logging.getLogger("medsam_exp").setLevel(logging.INFO)


if __name__ == "__main__":
    distributed.work_as_member(lambda: main(Path(sys.argv[1])))
