"""Arrays that stay in memory as far as it is given, so that they need not be made again."""

import threading
from typing import Any

from numpy.typing import NDArray


class KeptArrays:
    """Keeps the first arrays that it is given, on any thread.

    Args:
        most_bytes: that are kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._room = most_bytes
        self._kept: dict[str, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def keep(self, name: str, array: NDArray[Any]) -> None:
        """Keep a copy of an array, in the place of an earlier one of that name, or nothing where there is no room."""
        with self._lock:
            before = self._kept.pop(name, None)
            self._room += 0 if before is None else before.nbytes
            if array.nbytes <= self._room:
                self._room -= array.nbytes
                self._kept[name] = array.copy()

    def get(self, name: str) -> NDArray[Any] | None:
        """The array of a name, the caller's own; None where none was kept."""
        kept = self._kept.get(name)
        return None if kept is None else kept.copy()
