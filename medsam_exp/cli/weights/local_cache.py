"""The local cache of published weights: what is there, and whether its checksums are right."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Literal

from rich.filesize import decimal

from medsam_exp.cli.weights.catalogue import PublishedFile, Weights
from medsam_exp.runtime.digests import FileDigests

_Kind = Literal["missing", "part", "wrong", "there", "verified"]
_WORDS: dict[_Kind, str] = {
    "missing": "not here",
    "part": "in part",
    "wrong": "WRONG",
    "there": "here",
    "verified": "here, verified",
}
DESCRIPTIONS = ("open_clip_config.json", "config.json")
"""The last file of a folder that is fetched: open_clip's, transformers'."""
_DIGESTS = ".digests.json"
"""In the folder of weights: computed checksums, by path, size and time."""


@dataclass(frozen=True)
class State:
    """Of a file, or of a network's files together.

    Attributes:
        kind: `there` is a file whose size, where it is known, is right; `verified` one whose checksum is, too.
        note: more, in words; empty where there is nothing to say.
    """

    kind: _Kind
    note: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can be loaded."""
        return self.kind in ("there", "verified")

    def __str__(self) -> str:
        """In words."""
        return _WORDS[self.kind] + (f" ({self.note})" if self.note else "")


def file_state(file: PublishedFile, folder: Path, digests: FileDigests | None = None) -> State:
    """Look at one file.

    Args:
        file: of the catalogue.
        folder: of weights.
        digests: computes checksums; None compares sizes alone, which is quick.
    """
    path = folder / file.path
    if not path.is_file():
        parts = path.parent.glob(f"{escape(path.name)}.part*")  # gdown adds letters of its own
        begun = sum(part.stat().st_size for part in parts if part.suffix != ".json")
        return State("part", f"{decimal(begun)} so far") if begun else State("missing")
    size = path.stat().st_size
    if size == 0 or (file.size is not None and size != file.size):
        return State("wrong", f"{path} has {size} bytes instead of {file.size or 'some'}")
    if digests is None:
        return State("there")
    if file.sha256 is None:
        return State("there", "no checksum is published")
    found = digests.of(path)
    if found != file.sha256:
        return State("wrong", f"{path} has the SHA-256 {found} instead of {file.sha256}")
    return State("verified")


def state(weights: Weights, folder: Path, digests: FileDigests | None = None) -> State:
    """Look at all files of a network; the worst decides."""
    each = [file_state(file, folder, digests) for file in weights.files]
    for kind in ("wrong", "part", "missing", "there"):
        if found := [one for one in each if one.kind == kind]:
            if kind == "missing" and len(found) < len(each):
                return State("part", f"{len(each) - len(found)} of {len(each)} files")
            return found[0]
    return State("verified")


def fetched(*choices: str) -> str:
    """The first of these files and folders that is there, whole; else the last, which stands for itself.

    Configurations ask by `${fetched:PLACE,...,OTHERWISE}`, so what `get` has fetched is used with nothing typed.

    Args:
        choices: files; folders, which are whole when they have the description that is fetched last; and at the end
            a repository of the hub, or a tag of open_clip.
    """
    *places, otherwise = choices
    paths = {place: Path(place).expanduser() for place in places}
    there = (
        place
        for place, path in paths.items()
        if path.is_file() or any((path / name).is_file() for name in DESCRIPTIONS)
    )
    return next(there, otherwise)


@contextmanager
def known_digests(folder: Path) -> Iterator[FileDigests]:
    """Checksums of files in a folder of weights, remembered there where it is writable."""
    digests = FileDigests(folder / _DIGESTS)
    yield digests
    with suppress(OSError):  # a read-only folder or a full disk: computed again next time
        digests.save()
