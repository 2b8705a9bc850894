"""Every folder below `outputs/` once, also behind links; what cannot be looked into is told, as runs may lie there."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.sweep.files import SWEEP_FILE

_COPIES = "wandb"
"""Folder of a run or sweep with copies of what it says."""


@dataclass(frozen=True)
class Folder:
    """A folder, or a link that may have led to one.

    Attributes:
        path: of it.
        names: of what it holds.
        problem: why it cannot be looked into; empty where it can.
    """

    path: Path
    names: frozenset[str]
    problem: str = ""


def folders_below(top: Path, without: Path, is_run: Callable[[frozenset[str]], bool]) -> Iterator[Folder]:
    """Go through all folders, each before those in it, those behind links last.

    Args:
        top: where to begin; it comes first.
        without: a folder that is left out, behind links too.
        is_run: whether a folder with these names in it is a run's; links in a run lead to no other runs.
    """
    left_out, seen = Path(os.path.realpath(without)), set[Path]()
    waiting: list[tuple[Path, bool]] = [(top, False)]
    links: list[Path] = []
    while waiting or links:
        here, of_run = waiting.pop() if waiting else (links.pop(), False)
        try:
            real = Path(os.path.realpath(here, strict=True))
            if real in seen or real.is_relative_to(left_out):
                continue
            seen.add(real)
            inner, linked, names = _content(real)
        except NotADirectoryError:
            continue
        except OSError as error:
            yield Folder(here, frozenset(), error.strerror or type(error).__name__)
            continue
        yield Folder(here, names)
        of_run = of_run or is_run(names)
        copies = {_COPIES} if of_run or SWEEP_FILE in names else set()
        waiting += [(here / name, of_run) for name in inner if name not in copies]
        links += [] if of_run else [here / name for name in linked]


def _content(folder: Path) -> tuple[list[str], list[str], frozenset[str]]:
    """Names of the folders in a folder, of its links that may lead to folders, and of everything; from Z to A."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name, reverse=True)
    inner = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    linked = [entry.name for entry in entries if entry.is_symlink() and not _is_file(Path(entry.path))]
    return inner, linked, frozenset(entry.name for entry in entries)


def _is_file(link: Path) -> bool:
    try:
        return link.is_file()
    except OSError:  # it may be a folder as well
        return False
