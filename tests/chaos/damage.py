"""What happens to files on disks."""

import random
from collections.abc import Callable
from pathlib import Path

_NO_RESULT = (".lock", ".log")


def files_to_damage(outputs: Path) -> list[Path]:
    """The files of finished runs and of their stored results, but for logs and locks."""
    found = (path for path in outputs.rglob("*") if path.is_file() and path.suffix not in _NO_RESULT)
    return sorted(found)


def _emptied(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def _halved(path: Path, _: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _one_bit_flipped(path: Path, generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def _garbage(path: Path, generator: random.Random) -> None:
    path.write_bytes(generator.randbytes(max(64, path.stat().st_size)))


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "deleted": lambda path, _: path.unlink(),
    "emptied": _emptied,
    "halved": _halved,
    "one bit flipped": _one_bit_flipped,
    "garbage": _garbage,
}
