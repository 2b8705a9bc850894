"""Work that waits for files or runs outside of Python's lock, in several threads."""

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")
_MOST = 8


def map_in_threads(
    function: Callable[[Given], Result], items: Iterable[Given]
) -> Generator[Result, None, None]:
    """Apply a function to items in up to eight threads, at most one per processor.

    Args:
        function: called from several threads at once.
        items: its arguments.

    Yields:
        Results in the order of the items. Closing the iterator, or an error, cancels what has not begun.
    """
    with ThreadPoolExecutor(max_workers=min(_MOST, os.cpu_count() or 1)) as pool:
        try:
            yield from pool.map(function, items)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
