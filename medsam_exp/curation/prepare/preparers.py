"""All preparers of datasets as commands: `medsam-exp prepare NAME SRC [OUT] [OPTIONS]`."""

import logging
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from medsam_exp.curation.prepare import datasets
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.runtime.word_lists import WordLists
from medsam_exp.runtime.wording import did_you_mean


class _Preparers(TyperGroup):
    """A command for each module of `datasets`, imported when it is named, as some take long to import."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all preparers."""
        del ctx
        return sorted(module.name for module in iter_modules(datasets.__path__))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a preparer."""
        if cmd_name not in (names := self.list_commands(ctx)):
            ctx.fail(f"medsam-exp prepare has no {cmd_name!r}; {did_you_mean(cmd_name, names)}")
        module = import_module(f"{datasets.__name__}.{cmd_name}")
        about = str(module.__doc__)
        alone = typer.Typer(rich_markup_mode=None, add_completion=False)
        alone.command(cmd_name, cls=WordLists, help=about, short_help=about.splitlines()[0])(module.prepare)
        return typer.main.get_command(alone)

    @stops_when_asked()
    def invoke(self, ctx: Any) -> None:
        """Prepare a dataset, and print what was done."""
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        try:
            for line in super().invoke(ctx):
                print(line)
        except OSError as error:
            raise UserError(f"{error}; when that is mended, the same command goes on from here") from error


app = typer.Typer(
    cls=_Preparers,
    help="Bring a dataset's download into the layout that is read.\n\n"
    "SRC is what was downloaded, a folder or a zip; OUT becomes the folder that the pipeline reads. The same command "
    "again goes on where it was stopped, and writes nothing where all is done.",
    subcommand_metavar="NAME SRC [OUT] [OPTIONS]",
    rich_markup_mode=None,
)
