"""What the preparers' commands have in common: options, requests, and what is said at the end."""

import argparse
from collections.abc import Iterable, Iterator

from medsam_exp.curation.prepare.layout import Prepared
from medsam_exp.curation.prepare.output import Request, SourceFacts
from medsam_exp.curation.prepare.splitting import SPLITS
from medsam_exp.runtime.digests import text_digest

_AMOUNTS = (
    "per cent (train=80%,val=10%,test=10%), shares by hash (0.8), or numbers of images (train=rest,test=113)"
)
_NOT_OPTIONS = {"source", "out", "prepare"}


def add_split_options(parser: argparse.ArgumentParser, default: str | None, about: str) -> None:
    """Offer `--split` and `--seed`.

    Args:
        parser: of the command.
        default: of `--split`; None for none.
        about: what is split, for the help.
    """
    shown = f" (default {default})" if default else ""
    parser.add_argument(
        "--split", default=default, metavar="AMOUNTS", help=f"{about}: {_AMOUNTS}{shown}".replace("%", "%%")
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses another division (default 0)")


def add_skip_option(parser: argparse.ArgumentParser) -> None:
    """Offer `--skip-faulty`."""
    parser.add_argument(
        "--skip-faulty",
        action="store_true",
        help="leave out what cannot be read, and say so, instead of stopping",
    )


def request_of(
    given: argparse.Namespace, name: str, version: int, rule: str, licence: str, facts: Iterable[SourceFacts]
) -> Request:
    """The request of a command line.

    Args:
        given: what was asked for; paths do not count, as what lies there is in `facts`.
        name: of the preparer.
        version: of its code.
        rule: in words.
        licence: in words.
        facts: of everything that is read.
    """
    found = list(facts)
    together = SourceFacts(
        sum(each.files for each in found),
        sum(each.bytes for each in found),
        found[0].digest if len(found) == 1 else text_digest(*(each.digest for each in found)),
    )
    options = {
        key: value
        for key, value in sorted(vars(given).items())
        if key not in _NOT_OPTIONS and isinstance(value, str | int | float | bool | None)
    }
    return Request(name, version, rule, together, licence, options)


def summary_lines(prepared: Prepared, reads: str) -> Iterator[str]:
    """What was done, line by line.

    Args:
        prepared: the result.
        reads: what to write on the command line of `run.py` to use it.
    """
    for split in SPLITS:
        counts = prepared.counts.get(split, {})
        if counts:
            by_class = ", ".join(f"{count} {name or 'of no class'}" for name, count in counts.items())
            yield f"{split}: {sum(counts.values())} ({by_class})"
    yield from _ending(prepared, f"{reads} data.root={prepared.out}")


def pair_summary_lines(prepared: Prepared, reads: str) -> Iterator[str]:
    """The same of image-text pairs, whose counts are by table.

    Args:
        prepared: the result.
        reads: what to write on the command line of `run.py` to use it.
    """
    for table, counts in prepared.counts.items():
        yield f"{table}: {sum(counts.values())} pairs"
    yield from _ending(prepared, reads)


def _ending(prepared: Prepared, reads: str) -> Iterator[str]:
    yield from (f"note: {note}" for note in prepared.notes[:20])
    if len(prepared.notes) > 20:
        yield f"and {len(prepared.notes) - 20} more notes in {prepared.out / 'prepared.json'}"
    done = f"{prepared.written} files written" if prepared.written else "everything was there already"
    yield f"{prepared.out}: {done}; use it with {reads}"
