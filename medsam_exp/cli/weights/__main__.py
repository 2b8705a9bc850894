"""Published weights: `medsam-exp weights list|get|check|where [NAME...]`.

`list` says what there is to be had and what of it is here, `get` fetches (and goes on where it stopped), `check` counts
checksums, `where` prints paths. Everything lies in one folder: paths.weights, which MEDSAM_WEIGHTS sets.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from medsam_exp.cli.weights import tables
from medsam_exp.cli.weights.catalogue import Weights, catalogue, find
from medsam_exp.cli.weights.download import Downloader
from medsam_exp.cli.weights.local_cache import known_digests, save, state
from medsam_exp.cli.weights.settings import Settings, settings
from medsam_exp.config.start_command import start_command
from medsam_exp.runtime.console import open_console
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.runtime.progress import byte_progress
from medsam_exp.runtime.sizes import readable
from medsam_exp.types import UserError

ALL = "all"


@stops_when_asked()
def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks; return its exit code, 1 where something is missing or wrong."""
    given = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return int(given.do(given, settings(given.folder)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def list_weights(given: argparse.Namespace, own: Settings) -> int:
    """Show the catalogue, or all that it says of some names."""
    entries = _entries(given.names)
    states = {each.name: state(each, own.folder) for each in entries}
    if given.json:
        print(tables.as_json(entries, states, own.folder))
        return 0
    shown = open_console()
    if given.names:
        shown.print("\n".join(line for each in entries for line in tables.details(each)), markup=False)
        return 0
    shown.print(tables.catalogue_table(entries, states))
    shown.print(f"folder: {own.folder.absolute()} (MEDSAM_WEIGHTS or paths.weights)", markup=False)
    shown.print("medsam-exp weights get NAME fetches; list NAME says more", markup=False)
    return 0


def get_weights(given: argparse.Namespace, own: Settings) -> int:
    """Fetch what is asked for; what cannot be had is said and the rest goes on."""
    downloader, failed = Downloader(own, byte_progress), 0
    for each in _entries(given.names):
        try:
            new = downloader.get(each)
        except UserError as error:
            print(f"error: {each.name}: {error}", file=sys.stderr)
            failed += 1
            continue
        size = readable(sum(path.stat().st_size for path in new))
        print(
            f"{each.name}: {f'{size} fetched' if new else 'is here'}; use it by: {start_command()} {each.use}"
        )
    return 1 if failed else 0


def check_weights(given: argparse.Namespace, own: Settings) -> int:
    """Count checksums of what is here, or of what is named; 1 when one is wrong, or named and missing."""
    digests, wrong, seen = known_digests(own.folder), 0, 0
    named = bool(given.names) and ALL not in given.names
    for each in _entries(given.names):
        found = state(each, own.folder, digests)
        if found.kind == "missing" and not named:
            continue
        seen += 1
        wrong += found.kind == "wrong" or (named and not found.usable)
        print(f"{each.name}: {tables.SAID[found.kind]}{f' ({found.note})' if found.note else ''}")
    save(digests)
    if not seen:
        print(f"no published weights in {own.folder.absolute()}")
    return 1 if wrong else 0


def where_weights(given: argparse.Namespace, own: Settings) -> int:
    """Print the folder of weights, or the files of some names; 1 when one is not there."""
    if not given.names:
        print(own.folder.absolute())
        return 0
    paths = [own.folder.absolute() / file.path for each in _entries(given.names) for file in each.files]
    print("\n".join(map(str, paths)))
    return 0 if all(path.is_file() for path in paths) else 1


def _entries(names: Sequence[str]) -> list[Weights]:
    if not names or ALL in names:
        return list(catalogue().values())
    return [find(name) for name in dict.fromkeys(names)]


def _parser() -> argparse.ArgumentParser:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="medsam-exp weights", description=about.partition(":")[0], epilog=more
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, do, what in (
        ("list", list_weights, "what there is, and what of it is here; with names, everything about them"),
        ("get", get_weights, "fetch weights that are not here, go on with those that are here in part"),
        ("check", check_weights, "count the checksums of what is here"),
        ("where", where_weights, "print the folder of weights, or the files of some names"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument(
            "names", nargs="+" if name == "get" else "*", metavar="NAME", help=f"of the catalogue, or {ALL}"
        )
        command.add_argument("--folder", type=Path, help="of weights, instead of the configured one")
        if name == "list":
            command.add_argument("--json", action="store_true", help="for scripts")
        command.set_defaults(do=do)
    return parser


if __name__ == "__main__":
    sys.exit(main())
