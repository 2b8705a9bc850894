"""Things made lately, which need not be made again while they are remembered."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Made = TypeVar("_Made")


class Recent(Generic[_Made]):
    """Remembers the things that were asked for last, by all that decides them, on any thread.

    Args:
        most: things that are remembered; the one that was not asked for the longest goes first.

    Example:
        >>> squares = Recent(most=2)
        >>> [squares.of(number, lambda number=number: number**2) for number in (3, 4, 3)]
        [9, 16, 9]
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: dict[Hashable, _Made] = {}
        self._lock = threading.Lock()

    def of(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """The thing of a key, shared by all who ask for it: nobody may change it."""
        with self._lock:
            if key in self._made:
                found = self._made[key] = self._made.pop(key)  # now the youngest
                return found
        made = make()
        with self._lock:
            self._made[key] = made
            if len(self._made) > self._most:
                del self._made[next(iter(self._made))]
        return made
