"""Work that waits for files or runs outside of Python's lock, in several threads, its results in order."""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")
_MOST = 8
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores that this process may use: those of its affinity, or the quota of its container where that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
    except OSError:
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def threads_per_process(processes: int) -> int:
    """Threads that each of some processes may use: the machine's cores shared, or fewer if the user wants fewer."""
    share = max(1, usable_cores() // processes)
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(wanted)) if wanted.isdigit() and int(wanted) else share


def map_in_threads(
    function: Callable[[Given], Result], items: Iterable[Given], threads: int | None = None
) -> Generator[Result, None, None]:
    """Apply a function to items in several threads.

    Args:
        function: called from several threads at once.
        items: its arguments.
        threads: how many; 0 works in this thread, item after item; None takes one a core, at most eight.

    Yields:
        Results in the order of the items, those before an error too; each thread is at most one result ahead. Closing
        the iterator, or an error, cancels what has not begun.
    """
    threads = min(_MOST, usable_cores()) if threads is None else threads
    if threads == 0:
        yield from map(function, items)
        return
    with _pool(threads) as pool:
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


class Behind(AbstractContextManager["Behind[Result]"], Generic[Result]):
    """What is made of the answers of a loop, and kept, while the loop goes on: called with each answer's parts.

    An error of making or keeping one is raised by a later call, or at the end; nothing after it is kept. An error of
    the loop itself waits until all before it is kept; what asks the process to stop cancels what has not begun.

    Args:
        make: called in several threads at once.
        keep: called with what was made, in order, one at a time, in one further thread.
        threads: how many; 0 makes and keeps in this thread.
        waiting: answers that may wait at most, so that memory does not grow with their number.

    Example:
        >>> from medsam_exp.runtime.threads import Behind
        >>> kept = []
        >>> with Behind(lambda number: number**2, kept.append, threads=2, waiting=2) as behind:
        ...     for number in range(5):
        ...         behind(number)
        >>> kept
        [0, 1, 4, 9, 16]
    """

    def __init__(
        self, make: Callable[..., Result], keep: Callable[[Result], object], *, threads: int, waiting: int
    ) -> None:
        self._make, self._keep, self._threads, self._waiting = make, keep, threads, waiting
        self._kept: deque[Future[None]] = deque()
        self._stopped = False

    def __enter__(self) -> "Behind[Result]":
        """Start the threads."""
        if self._threads:
            self._running = _pool(self._threads)
            self._makers = self._running.__enter__()
            self._keeper = ThreadPoolExecutor(1)
        return self

    def __call__(self, *answer: Any) -> None:
        """Make and keep something of one answer; waits where much is behind."""
        if not self._threads:
            self._keep(self._make(*answer))
            return
        made = self._makers.submit(self._make, *answer)
        self._kept.append(self._keeper.submit(self._keep_next, made))
        if len(self._kept) > self._waiting:
            self._kept.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is behind, or give it up."""
        if not self._threads:
            return
        try:
            if kind is None or issubclass(kind, Exception):
                while self._kept:
                    self._kept.popleft().result()
        finally:
            self._stopped = True
            self._keeper.shutdown(cancel_futures=True)
            self._running.__exit__(kind, error, trace)

    def _keep_next(self, made: Future[Result]) -> None:
        if self._stopped:
            return
        try:
            self._keep(made.result())
        except BaseException:
            self._stopped = True
            raise


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads in which torch works without threads of its own; at the end what has not begun is cancelled."""
    torch = sys.modules.get("torch")  # nobody who does without it shall wait for its import
    if torch is None:
        with _ended(ThreadPoolExecutor(threads)) as pool:
            yield pool
        return

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread that was never asked would take the number that is set last

    own, started = torch.get_num_threads(), threading.Barrier(threads + 1)
    with _ended(ThreadPoolExecutor(threads, initializer=alone)) as pool:
        try:
            for _ in range(threads):
                pool.submit(started.wait)
            started.wait()
        finally:
            started.abort()
            torch.set_num_threads(own)
        yield pool


@contextmanager
def _ended(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
