"""Commands that cannot be run here are checked as far as that goes: they name things that exist."""

import contextlib
import importlib.util
import io
import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.cli.main import main
from medsam_exp.config.overrides import quoted
from medsam_exp.config.signatures import signature_problems
from tests.command import commands
from tests.compose import composed

OTHERS = {"cd", "export", "git", "nvidia-smi", "pip", "uv", "sbatch", "srun", "wandb", "ssh", "hf"}
"""Programs that are not the project's."""
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_PYTHON = {"python", "python3", ".venv/bin/python"}


class NotCheckableError(Exception):
    """A command names something that is not there, or is of a kind that nobody knows how to check."""


def check_command(line: str, folder: Path) -> None:
    """Check one command without running it.

    Args:
        line: of a shell.
        folder: a copy of the checkout.

    Raises:
        NotCheckableError: what is wrong with it.
    """
    words = shlex.split(line, comments=True)
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    match words:
        case ["make", *rest]:
            _check_make(rest, folder)
        case [python, "run.py", *options] if python in _PYTHON:
            _check_run(options)
        case ["medsam-exp", "run", *options]:
            _check_run(options)
        case ["medsam-exp", name, *arguments] if name in commands():
            _check_command(name, arguments)
        case [python, "-m", module, *_] if python in _PYTHON:
            _check_module(module)
        case [other, *_] if other in OTHERS:
            pass
        case _:
            raise NotCheckableError(f"nobody knows how to check: {line}")


def _check_make(words: Sequence[str], folder: Path) -> None:
    """`make -n` says what it would do, so the target and its needs exist."""
    done = subprocess.run(["make", "-n", *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise NotCheckableError(done.stderr.strip())


def _check_run(options: Sequence[str]) -> None:
    """The configuration composes for every value of every axis, and fits what it names.

    With `--config-dir` it is only parsed: the choices there are the reader's own.
    """
    if "--config-dir" in options:
        list(_jobs(_without_folder(quoted(options))))
        return
    for overrides in _jobs(_without_folder(quoted(options))):
        cfg = composed(*overrides)
        with contextlib.suppress(OmegaConfBaseException):  # a value that only the reader can give
            OmegaConf.resolve(cfg)
            if problems := list(signature_problems(cfg)):
                raise NotCheckableError("; ".join(problems))


def _without_folder(options: Sequence[str]) -> Iterator[str]:
    """What Hydra composes: without `-m`, `--config-dir FOLDER` and other options of the program itself."""
    words = iter(options)
    for word in words:
        if word in ("--config-dir", "-cd", "--cfg"):
            next(words)
        elif not word.startswith("-"):
            yield word


def _jobs(options: Iterator[str]) -> Iterator[list[str]]:
    """Each axis of a sweep in turn takes each of its values, while the others keep their first."""
    parsed = OverridesParser.create().parse_overrides(list(options))
    first, others = [], []
    for position, override in enumerate(parsed):
        if not override.is_sweep_override():
            first.append(override.input_line)
            continue
        key = override.get_key_element()
        values = [f"{key}={value}" for value in override.sweep_string_iterator()]
        first.append(values[0])
        others += [(position, value) for value in values[1:]]
    yield first
    for position, value in others:
        yield [*first[:position], value, *first[position + 1 :]]


def _check_command(name: str, arguments: Sequence[str]) -> None:
    """The command's own help knows the options.

    Raises:
        NotCheckableError: it does not, or there are no such words.
    """
    printed, wrong = io.StringIO(), io.StringIO()
    options = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    leading = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(wrong):
        code = main([name, *leading, "--help"])
    if code:
        raise NotCheckableError(f"{name} {' '.join(leading)}: {wrong.getvalue()}")
    said = printed.getvalue()
    if unknown := [option for option in options if not re.search(rf"{re.escape(option)}\b", said)]:
        raise NotCheckableError(f"medsam-exp {name} has no {', '.join(unknown)}")


def _check_module(module: str) -> None:
    """The module exists."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise NotCheckableError(f"there is no module {module}")
