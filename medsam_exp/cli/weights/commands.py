"""Published weights: `medsam-exp weights list|get|check|where [NAME...]`.

Everything lies in one folder: paths.weights, which MEDSAM_WEIGHTS sets.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsam_exp.runtime.interrupts import stops_when_asked

if TYPE_CHECKING:
    from medsam_exp.cli.weights.catalogue import Weights
    from medsam_exp.cli.weights.settings import Settings

_ALL = "all"
app = typer.Typer(
    help="List, get, check and find published weights.\n\n"
    "Everything lies in one folder: paths.weights, which MEDSAM_WEIGHTS sets.",
    rich_markup_mode=None,
)
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help=f"Of the catalogue, or {_ALL}.")]
Folder = Annotated[Path | None, typer.Option(help="Of weights, instead of the configured one.")]


@app.command("list")
def list_weights(
    names: Names = None,
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say what there is, and what of it is here; with names, everything about them."""
    from rich.markup import escape

    from medsam_exp.cli.weights.local_cache import state
    from medsam_exp.runtime.console import open_console, plain_table
    from medsam_exp.runtime.json_text import json_text

    place, entries = _settings(folder).folder, _entries(names)
    if as_json:
        print(json_text([_record(each, place) for each in entries], indent=1))
        return
    console = open_console()
    if names:
        console.print("\n".join(each.details() for each in entries), markup=False)
        return
    table = plain_table("name", "what", ">size", "licence", "here?", "options of a run")
    for each in entries:
        here = f"{state(each, place)}{', by hand' if each.by_hand else ''}"
        row = (each.name, each.title, each.download_size, each.licence, here, each.use)
        table.add_row(*map(escape, row))
    console.print(table)
    console.print(f"folder: {place.absolute()} (MEDSAM_WEIGHTS or paths.weights)", markup=False)
    console.print("medsam-exp weights get NAME fetches; list NAME says more", markup=False)


def _record(each: "Weights", folder: Path) -> dict[str, Any]:
    """An entry of the catalogue, and what is there of it, for scripts."""
    from medsam_exp.cli.weights.local_cache import state

    here = state(each, folder)
    files = [
        {
            "path": str(folder / file.path),
            "address": file.address,
            "bytes": file.size,
            "about_bytes": file.about,
            "sha256": file.sha256,
        }
        for file in each.files
    ]
    return {**asdict(each), "state": here.kind, "note": here.note, "files": files}


@app.command("get")
@stops_when_asked()
def get_weights(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help=f"Of the catalogue, or {_ALL}.")],
    folder: Folder = None,
) -> int:
    """Fetch weights that are not here, go on with those that are here in part.

    What cannot be had is said, and the rest goes on.
    """
    import logging

    from rich.filesize import decimal

    from medsam_exp.cli.weights.download import Downloader
    from medsam_exp.config.start_command import start_command
    from medsam_exp.types import UserError

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    downloader, failed = Downloader(_settings(folder)), 0
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

    own, wrong, seen = _settings(folder), 0, 0
    named = bool(names) and _ALL not in (names or ())
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
    place = _settings(folder).folder.absolute()
    if not names:
        print(place)
        return 0
    paths = [place / file.path for each in _entries(names) for file in each.files]
    print("\n".join(map(str, paths)))
    return 0 if all(path.is_file() for path in paths) else 1


def _settings(folder: Path | None) -> "Settings":
    from medsam_exp.cli.weights.settings import settings

    return settings(folder)


def _entries(names: Sequence[str] | None) -> "list[Weights]":
    from medsam_exp.cli.weights.catalogue import catalogue, find

    if not names or _ALL in names:
        return list(catalogue().values())
    return [find(name) for name in dict.fromkeys(names)]
