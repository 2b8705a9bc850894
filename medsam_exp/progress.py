"""Progress of a stage on the console: a bar on a terminal, one line elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

log = logging.getLogger(__name__)


@contextmanager
def stage_progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a stage is; yields a function to call with the number of samples just done."""
    started = time.perf_counter()
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not sys.stdout.isatty(), transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda count: progress.advance(task, count)
    log.info("%-12s %d done in %.1f s", name, total, time.perf_counter() - started)
