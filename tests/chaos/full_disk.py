"""A disk that is full from some write on, in this process alone."""

import builtins
import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


class FullDisk:
    """Counts what is begun to be written below a folder, and refuses it after so many.

    Args:
        folder: whose disk it is.
        after: writes that still succeed.
        number: what the disk answers then.
        log: file elsewhere that gets a line for each: its number within its process, and the path.
    """

    def __init__(
        self, folder: Path, after: float, number: int = errno.ENOSPC, log: Path | None = None
    ) -> None:
        self.count = 0
        self._log = os.open(os.devnull if log is None else log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
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
                    os.write(self._log, f"{self.count} {name}\n".encode())
                    if self.count > self._after:
                        raise OSError(self._number, os.strerror(self._number), name)
            return function(path, *arguments, **options)

        return called


def places(log: Path, folder: Path) -> dict[str, int]:
    """Where was written below a folder: the number of the first write at each place, without what differs by chance."""
    found: dict[str, int] = {}
    for line in log.read_text().splitlines():
        number, _, name = line.partition(" ")
        place = _CHANCE.sub("", str(Path(name).relative_to(folder)) if name != str(folder) else ".")
        found.setdefault(_KEY.sub("KEY", place), int(number))
    return found


_CHANCE = re.compile(r"\.[0-9a-f]{8}-\d+\.\w{8}$|(?<=Dataset001_Data)\.\w{8}")
_KEY = re.compile(r"\d{4}-\d\d-\d\d\w*|[0-9a-f]{8,}|\d+")


def _writes(_path: Any, mode: str = "r", *_: Any, **__: Any) -> bool:
    return any(letter in mode for letter in "wax+")
