"""One process of a job with several devices: `python -m medsam_exp.worker RUN_DIR`, started by the runner."""

import json
import logging
import sys
from pathlib import Path

from omegaconf import OmegaConf

from medsam_exp import distributed
from medsam_exp.runner import execute
from medsam_exp.types import UserError


def main(run_dir: Path) -> None:
    """Join the process group and execute the job that the runner left in `run_dir`."""
    cfg = OmegaConf.load(run_dir / "job.yaml")
    OmegaConf.set_readonly(cfg, True)
    with distributed.process_group():
        _log_to(run_dir / "run.log")
        execute(cfg, run_dir, json.loads((run_dir / "job.json").read_text()))  # type: ignore[arg-type]


def _log_to(path: Path) -> None:
    handlers: list[logging.Handler] = [logging.FileHandler(path)]
    if distributed.rank() == 0:
        handlers.append(logging.StreamHandler(sys.stdout))
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=handlers)
    logging.getLogger("medsam_exp").setLevel(logging.INFO)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except UserError as error:
        sys.exit(f"error: {error}")
