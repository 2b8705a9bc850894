"""What folders take on disk, and when they were last used."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Extent:
    """What a folder holds.

    Attributes:
        bytes: of all files below it; a file with several names counts once.
        files: how many.
        changed: newest modification time of anything in it, the folder itself included, seconds since 1970.
    """

    bytes: int
    files: int
    changed: float


def extent(folder: Path, *, without: Path | None = None) -> Extent:
    """Measure a folder; links are not followed, and what vanishes meanwhile counts nothing.

    Args:
        folder: any; one that does not exist holds nothing.
        without: a folder below it that does not count.
    """
    seen: set[tuple[int, int]] = set()
    size, changed = 0, 0.0
    for path in _everything(folder, without):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        changed = max(changed, status.st_mtime)
        if not path.is_dir() and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            size += status.st_size
    return Extent(size, len(seen), changed)


def _everything(folder: Path, without: Path | None) -> list[Path]:
    found = [folder]
    for above, folders, files in os.walk(folder):
        here = Path(above)
        folders[:] = [name for name in folders if here / name != without]
        found += [here / name for name in (*folders, *files)]
    return found
