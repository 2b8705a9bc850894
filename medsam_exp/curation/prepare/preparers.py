"""All preparers of datasets by name, and their command line: `medsam-exp prepare NAME SRC [OUT] [options]`.

SRC is what was downloaded, a folder or a zip; OUT becomes the folder that the pipeline reads. The same command again
goes on where it was stopped, and writes nothing where all is done.
"""

import argparse
import logging
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, NoReturn

from medsam_exp.curation.prepare import datasets
from medsam_exp.types import UserError


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one sentence.

    The one place with argparse: each preparer is a module that adds its own options, and is imported when it is named.
    """

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} ({self.prog} --help says more)")


def prepare(words: Sequence[str]) -> None:
    """Prepare a dataset, and print what was done.

    Args:
        words: of the command line, after `prepare`.

    Raises:
        UserError: the words, the download or the disk cannot work.
    """
    try:
        given = _parser(words[0] if words else "").parse_args(words)
    except SystemExit:  # the help was printed
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for line in given.prepare(given):
            print(line)
    except OSError as error:
        raise UserError(f"{error}; when that is mended, the same command goes on from here") from error


def preparers(only: str = "") -> dict[str, Any]:
    """Every module of `medsam_exp.curation.prepare.datasets` by its name; see there what it offers.

    Args:
        only: import this one alone, if there is one of that name, as some take long to import.
    """
    found = sorted(module.name for module in iter_modules(datasets.__path__))
    names = [only] if only in found else found
    return {name: import_module(f"{datasets.__name__}.{name}") for name in names}


def _data_folder() -> Path:
    """Where the configuration looks for data (conf/paths)."""
    return Path(os.environ.get("MEDSAM_DATA", "data"))


def _parser(only: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="medsam-exp prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found = preparers(only)
    commands = parser.add_subparsers(required=True, metavar="NAME")
    for name, module in found.items():
        about = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(
            name,
            help=about,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(prepare=module.prepare)
        command.add_argument("source", type=Path, metavar="SRC", help="folder or zip as it was downloaded")
        out = _data_folder() / getattr(module, "FOLDER", name)
        command.add_argument(
            "out",
            type=Path,
            metavar="OUT",
            nargs="?",
            default=out,
            help=f"new folder to write to (default {out})",
        )
        module.add_options(command)
    return parser
