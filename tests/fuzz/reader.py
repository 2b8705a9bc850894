"""What is fuzzed: a reader of the package, and the smallest valid input of it."""

import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from tests.fuzz.mutation import mutated

Files = Mapping[str, bytes]
"""Contents by path below the input's folder."""


@dataclass(frozen=True)
class Reader:
    """A way into the package for the files of others.

    Attributes:
        name: for the table.
        make: the files of a valid input.
        read: reads them in a folder; refuses by `UserError`.
        touched: patterns of the files that are mutated.
        cost: of an input, beside that of a small file's; costly readers get fewer inputs.
    """

    name: str
    make: Callable[[], Files]
    read: Callable[[Path], object]
    touched: tuple[str, ...] = ("*",)
    cost: float = field(default=1.0, compare=False)

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The valid input."""
        return dict(self.make())

    def mutated(self, number: int, seed: int) -> dict[str, bytes]:
        """The input of a number: one file of the valid one is changed, of number 0 none."""
        if number == 0:
            return self.files
        draw = random.Random(f"{seed} {self.name} {number}")
        names = [name for name in self.files if any(fnmatch(name, pattern) for pattern in self.touched)]
        name = draw.choice(names)
        return self.files | {name: mutated(name, self.files[name], draw)}


def write_files(files: Files, folder: Path) -> None:
    """Write files below a folder, which is made."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def written(write: Callable[[Path], object]) -> Callable[[], Files]:
    """What makes the files that a function writes into an empty folder."""

    def make() -> Files:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            return files_below(Path(folder))

    return make


def files_below(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
