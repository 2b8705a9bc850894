"""What the preparers' commands have in common: options, requests, and what is said at the end."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from medsam_exp.config.shells import for_shell
from medsam_exp.curation.prepare.layout import SPLITS
from medsam_exp.curation.prepare.output import Prepared, Request, SourceFacts
from medsam_exp.runtime.digests import text_digest

Download = Annotated[Path, typer.Argument(metavar="SRC", help="Folder or zip as it was downloaded.")]
Seed = Annotated[int, typer.Option(help="Chooses another division.")]
SkipFaulty = Annotated[
    bool,
    typer.Option("--skip-faulty", help="Leave out what cannot be read, and say so, instead of stopping."),
]
SmallestCaption = Annotated[int, typer.Option(metavar="N", help="Characters of a caption.")]


def in_data(folder: str) -> Any:
    """The argument OUT, by default a folder where the configuration looks for data (conf/paths)."""
    return typer.Argument(
        metavar="OUT",
        help="New folder to write to.",
        default_factory=lambda: Path(os.environ.get("MEDSAM_DATA", "data")) / folder,
        show_default=f"data/{folder}, or MEDSAM_DATA/{folder}",
    )


def amounts_of(what: str) -> Any:
    """An option that says how much goes to each split."""
    return typer.Option(
        metavar="AMOUNTS",
        help=f"{what}: per cent (train=80%,val=10%,test=10%), shares by hash (0.8), or numbers of images "
        "(train=rest,test=113).",
    )


def request_of(
    given: typer.Context, rule: str, licence: str, facts: Iterable[SourceFacts], version: int = 1
) -> Request:
    """The request of a command line.

    Args:
        given: what was asked for; paths do not count, as what lies there is in `facts`.
        rule: in words.
        licence: in words.
        facts: of everything that is read.
        version: of the preparer's code.
    """
    found = list(facts)
    together = SourceFacts(
        sum(each.files for each in found),
        sum(each.bytes for each in found),
        found[0].digest if len(found) == 1 else text_digest(*(each.digest for each in found)),
    )
    options = {key: value for key, value in sorted(given.params.items()) if not isinstance(value, Path)}
    return Request(str(given.info_name), version, rule, together, licence, options)


TEXTS_OF_INDEX = "text=index"
"""What to write on the command line of `run.py` to use the texts in index.csv."""


def summary_lines(prepared: Prepared, reads: str, text: str = "text=class_name") -> Iterator[str]:
    """What was done, line by line.

    Args:
        prepared: the result, counted by split or, of image-text pairs, by table.
        reads: what to write on the command line of `run.py` to use it.
        text: and which texts; of images with masks.
    """
    for part, counts in prepared.counts.items():
        listed = [f"{count} {name or 'of no class'}" for name, count in counts.items()]
        if listed:
            said = ", ".join(listed)
            yield f"{part}: {sum(counts.values())} ({said})" if part in SPLITS else f"{part}: {said}"
    yield from (f"note: {note}" for note in prepared.notes[:20])
    if len(prepared.notes) > 20:
        yield f"and {len(prepared.notes) - 20} more notes in {prepared.out / 'prepared.json'}"
    done = f"{prepared.written} files written" if prepared.written else "everything was there already"
    root = ""
    if prepared.counts.keys() <= set(SPLITS):
        root = f" {for_shell(f'data.root={prepared.out}')} {text}"
    yield f"{prepared.out}: {done}; use it with {reads}{root}"
