"""Published weights: `medsam-exp weights list|get|check|where [NAME...]`.

Everything lies in one folder: paths.weights, which MEDSAM_WEIGHTS sets.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsam_exp.runtime.interrupts import stops_when_asked

if TYPE_CHECKING:
    from medsam_exp.cli.weights.catalogue import Weights

ALL = "all"
app = typer.Typer(
    help="List, get, check and find published weights.\n\n"
    "Everything lies in one folder: paths.weights, which MEDSAM_WEIGHTS sets.",
    rich_markup_mode=None,
)
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help=f"Of the catalogue, or {ALL}.")]
Folder = Annotated[Path | None, typer.Option(help="Of weights, instead of the configured one.")]


@app.command("list")
def list_weights(
    names: Names = None,
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say what there is, and what of it is here; with names, everything about them."""
    from medsam_exp.cli.weights import tables
    from medsam_exp.cli.weights.local_cache import state
    from medsam_exp.cli.weights.settings import settings
    from medsam_exp.runtime.console import open_console

    own, entries = settings(folder), _entries(names)
    states = {each.name: state(each, own.folder) for each in entries}
    if as_json:
        print(tables.as_json(entries, states, own.folder))
        return
    shown = open_console()
    if names:
        shown.print("\n".join(line for each in entries for line in tables.details(each)), markup=False)
        return
    shown.print(tables.catalogue_table(entries, states))
    shown.print(f"folder: {own.folder.absolute()} (MEDSAM_WEIGHTS or paths.weights)", markup=False)
    shown.print("medsam-exp weights get NAME fetches; list NAME says more", markup=False)


@app.command("get")
@stops_when_asked()
def get_weights(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help=f"Of the catalogue, or {ALL}.")],
    folder: Folder = None,
) -> int:
    """Fetch weights that are not here, go on with those that are here in part.

    What cannot be had is said, and the rest goes on.
    """
    import logging

    from rich.filesize import decimal

    from medsam_exp.cli.weights.download import Downloader
    from medsam_exp.cli.weights.settings import settings
    from medsam_exp.config.start_command import start_command
    from medsam_exp.types import UserError

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    downloader, failed = Downloader(settings(folder)), 0
    for each in _entries(names):
        try:
            new = downloader.get(each)
        except UserError as error:
            print(f"error: {each.name}: {error}", file=sys.stderr)
            failed += 1
            continue
        size = decimal(sum(path.stat().st_size for path in new))
        print(
            f"{each.name}: {f'{size} fetched' if new else 'is here'}; use it by: {start_command()} {each.use}"
        )
    return 1 if failed else 0


@app.command("check")
def check_weights(names: Names = None, folder: Folder = None) -> int:
    """Verify the checksums of what is here, or of what is named.

    The exit code is 1 when one is wrong, or named and missing.
    """
    from medsam_exp.cli.weights.local_cache import known_digests, state
    from medsam_exp.cli.weights.settings import settings

    own, wrong, seen = settings(folder), 0, 0
    named = bool(names) and ALL not in (names or ())
    with known_digests(own.folder) as digests:
        for each in _entries(names):
            found = state(each, own.folder, digests)
            if found.kind == "missing" and not named:
                continue
            seen += 1
            wrong += found.kind == "wrong" or (named and not found.usable)
            print(f"{each.name}: {found}")
    if not seen:
        print(f"no published weights in {own.folder.absolute()}")
    return 1 if wrong else 0


@app.command("where")
def where_weights(names: Names = None, folder: Folder = None) -> int:
    """Print the folder of weights, or the files of some names; exit code 1 when one is missing."""
    from medsam_exp.cli.weights.settings import settings

    place = settings(folder).folder.absolute()
    if not names:
        print(place)
        return 0
    paths = [place / file.path for each in _entries(names) for file in each.files]
    print("\n".join(map(str, paths)))
    return 0 if all(path.is_file() for path in paths) else 1


def _entries(names: Sequence[str] | None) -> "list[Weights]":
    from medsam_exp.cli.weights.catalogue import catalogue, find

    if not names or ALL in names:
        return list(catalogue().values())
    return [find(name) for name in dict.fromkeys(names)]
