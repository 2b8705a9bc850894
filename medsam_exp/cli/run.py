"""The way into every run: `python run.py OPTIONS` in a checkout, `medsam-exp run OPTIONS` anywhere.

One's own choices (a dataset's YAML, say) lie in `conf/GROUP/` of the folder where the command is started, or in any
folder that `--config-dir FOLDER` names; they come before those of the package.
"""

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from medsam_exp.cli.compose import register, with_names
from medsam_exp.cli.help_page import help_page
from medsam_exp.cli.refusals import in_one_sentence, said_of_disk, stray_word
from medsam_exp.config.overrides import quoted
from medsam_exp.runtime.conf_folder import conf_folder, own_folder
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.types import UserError

_OPTIONS = ("--config-dir", "-cd")
_STARTED = time.time()
"""About when this process began."""


@stops_when_asked()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for; exit with one sentence on bad input.

    Args:
        arguments: options of Hydra, `GROUP=CHOICE` and `KEY=VALUE`; None for those of this process.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        own, rest = _own_folder(typed)
        if {"--help", "-h"} & set(rest):
            print(help_page(_program(), [*([own] if own else []), conf_folder()]), end="")
            return
        if stray := stray_word(rest, conf_folder()):
            raise UserError(stray)
        rest = quoted(with_names(rest, own))
    except UserError as error:
        sys.exit(f"error: {error}")
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, says nothing of it
    added = [] if own is None else ["--config-dir", str(conf_folder())]  # Hydra looks there last
    sys.argv[1:] = [*added, *rest]  # Hydra reads them there
    register()
    first = str(conf_folder() if own is None else own)
    with in_one_sentence():
        hydra.main(version_base="1.3", config_path=first, config_name="config")(job)()


def run(*words: str) -> None:
    """Run an experiment or a sweep from Python, such as a notebook, as `medsam-exp run WORDS` does.

    Args:
        words: `GROUP=CHOICE`, `KEY=VALUE`, and options of Hydra.

    Raises:
        SystemExit: the input is bad; its argument is the sentence.

    Example:
        >>> import contextlib, io, json, tempfile
        >>> from pathlib import Path
        >>> from medsam_exp import run
        >>> outputs = Path(tempfile.mkdtemp())
        >>> few = ("data.count=1", "saliency=intensity", "stages=[saliency,coarse_mask,evaluate]")
        >>> with contextlib.redirect_stdout(io.StringIO()):
        ...     run("+experiment=demo", *few, f"paths.outputs={outputs}")
        >>> (summary,) = outputs.glob("runs/demo/*/summary.json")
        >>> "coarse/dsc" in json.loads(summary.read_text())["metrics"]
        True
    """
    typed = sys.argv
    try:
        sys.argv = typed[:1]
        main(words)
    finally:
        sys.argv = typed


def job(cfg: DictConfig) -> None:
    """Run one job; it has this module's name, so that launchers can send it to other processes."""
    from medsam_exp.cli.runner import plan_digest, run  # here, so that --help and --cfg answer at once
    from medsam_exp.report.logger.job import sweep_job
    from medsam_exp.sweep.status import attempt

    job = HydraConfig.get()
    folder, choices = Path(job.runtime.output_dir), dict(job.runtime.choices)
    typed: Any = OmegaConf.to_container(job.overrides.task)  # unresolved: an escaped `${` stays one

    def work() -> None:
        started = _STARTED if job.mode == RunMode.RUN else None
        try:
            run(cfg, folder, choices, typed, sweep_job(job), started)
        except UserError as error:  # a network does not know by which choice it was asked for
            if choices["clip"] == "folder" or "clip.model" not in str(error):
                raise
            raise UserError(
                str(error).replace("weights get NAME", f"weights get {choices['clip']}")
            ) from error

    if job.mode == RunMode.MULTIRUN:
        attempt(cfg, folder, work, plan_digest)
        return
    try:
        work()
    except UserError as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        if said := said_of_disk(error):
            sys.exit(f"error: {said}")
        raise


def _program() -> str:
    """What was typed to come here."""
    return "python run.py" if Path(sys.argv[0]).name == "run.py" else "medsam-exp run"


def _own_folder(typed: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The folder of one's own choices, named or beside the user, and what else was typed."""
    rest, words, named = [], iter(typed), None
    for word in words:
        option, sign, value = word.partition("=")
        if option in _OPTIONS:
            named = Path(value if sign else next(words, ""))
        else:
            rest.append(word)
    if named is not None and not named.is_dir():
        raise UserError(
            f"--config-dir {named} is no folder; give the one that holds data/, clip/ and the like"
        )
    return own_folder() if named is None else named.resolve(), rest
