"""The console: tables of commands, and the progress of stages and downloads: a bar on a terminal, else lines."""

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

log = logging.getLogger(__name__)

_within: ContextVar[Callable[[float], None] | None] = ContextVar("within", default=None)
_warned: defaultdict[int, set[str]] = defaultdict(set)
"""What `only_warnings` has let through, by the handler's place; each job has handlers of its own."""
_SECONDS_BETWEEN_LINES = 30.0
_WIDTH_OF_A_FILE = 160  # letters, when the output is no terminal


def open_console() -> Console:
    """The terminal, or a file with room for a table."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = max(found.width, _WIDTH_OF_A_FILE)
    return found


def plain_table(*headings: str) -> Table:
    """A plain table; a heading that begins with ">" stands over numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        number = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if number else "left", overflow="fold")
    return table


@contextmanager
def only_warnings() -> Iterator[None]:
    """Keep ordinary progress, and what an earlier job has warned of, from the console; files still get them."""
    handlers = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    shown = [
        (handler, handler.level, _OnlyNewWarnings(_warned[place])) for place, handler in enumerate(handlers)
    ]
    for handler, _, only_new in shown:
        handler.setLevel(logging.WARNING)
        handler.addFilter(only_new)
    try:
        yield
    finally:
        for handler, level, only_new in shown:
            handler.setLevel(level)
            handler.removeFilter(only_new)


class _OnlyNewWarnings(logging.Filter):
    """Lets a warning through once, and every error."""

    def __init__(self, warned: set[str]) -> None:
        super().__init__()
        self._warned = warned

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        known = said in self._warned
        self._warned.add(said)
        return record.levelno > logging.WARNING or not known


def progress_within(samples: float) -> None:
    """Move the bar of the stage that runs, if one does, by a part of a batch that is not done yet.

    Args:
        samples: work since the last call: half of the steps of a batch of 8 are 4.
    """
    if (move := _within.get()) is not None:
        move(samples)


@contextmanager
def stage_progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a stage is; yields a function to call with the number of samples just done.

    A method may say by `progress_within` how far it is in samples that are not done yet.
    """
    started = time.perf_counter()
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not sys.stdout.isatty(), transient=True) as progress:
        task, done = progress.add_task(name, total=total), 0
        part = 0.0

        def advance(count: int) -> None:
            nonlocal done, part
            done, part = done + count, 0.0
            progress.update(task, completed=done)

        def within(samples: float) -> None:
            nonlocal part
            part += samples
            progress.update(task, completed=min(done + part, total))

        before = _within.set(within)
        try:
            yield advance
        finally:
            _within.reset(before)
    log.info("%-12s %d done in %.1f s", name, total, time.perf_counter() - started)


@contextmanager
def byte_progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far a file is; yields a function to call with the bytes that are there and the bytes of all of it."""
    terminal, spoke = sys.stdout.isatty(), time.perf_counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not terminal) as progress:
        task = progress.add_task(name, total=None)

        def advance(done: int, total: int | None) -> None:
            nonlocal spoke
            progress.update(task, completed=done, total=total)
            if not terminal and time.perf_counter() - spoke > _SECONDS_BETWEEN_LINES:
                spoke = time.perf_counter()
                log.info(
                    "%s %s of %s MB", name, done // 1_000_000, "?" if total is None else total // 1_000_000
                )

        yield advance
