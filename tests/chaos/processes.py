"""Processes that others have started, as Linux tells them."""

import itertools
from pathlib import Path


def with_children(pid: int) -> list[int]:
    """A process and all that it, or one of them, has started, so far as they live."""
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return [pid]  # a thread has just ended
    children = [int(word) for line in lists for word in line.split()]
    return [pid, *itertools.chain.from_iterable(map(with_children, children))]


def command_line(pid: int) -> list[str]:
    """The words that a process was started by; none where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
