"""A disk that is full from some write on, in this process alone."""

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class FullDisk:
    """Counts what is begun to be written below a folder, and refuses it after so many.

    Args:
        folder: whose disk it is.
        after: writes that still succeed.
        number: what the disk answers then.
    """

    def __init__(self, folder: Path, after: float, number: int = errno.ENOSPC) -> None:
        self.count = 0
        self._folder, self._after, self._number = str(folder), after, number

    def install(self) -> None:
        """Be the disk of this process from now on."""
        os.open = self._refusing(os.open, lambda _path, flags=0, *_, **__: bool(flags & os.O_CREAT))  # type: ignore[assignment]
        os.mkdir = self._refusing(os.mkdir, lambda *_, **__: True)  # type: ignore[assignment]
        builtins.open = io.open = self._refusing(io.open, _writes)  # type: ignore[assignment, misc]

    def _refusing(self, function: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        def called(path: Any, *arguments: Any, **options: Any) -> Any:
            if not isinstance(path, int) and writes(path, *arguments, **options):
                name = os.fsdecode(path)
                if name.startswith(self._folder):
                    self.count += 1
                    if self.count > self._after:
                        raise OSError(self._number, os.strerror(self._number), name)
            return function(path, *arguments, **options)

        return called


def _writes(_path: Any, mode: str = "r", *_: Any, **__: Any) -> bool:
    return any(letter in mode for letter in "wax+")
