"""The published weights that this project knows: `catalogue.yaml`, read and checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from rich.filesize import decimal

from medsam_exp.config.start_command import start_command
from medsam_exp.runtime.wording import did_you_mean
from medsam_exp.runtime.yaml_text import parsed_yaml
from medsam_exp.types import UserError

CATALOGUE = Path(__file__).parent / "catalogue.yaml"
_DRIVE = "https://drive.google.com/file/d/{}/view"


@dataclass(frozen=True)
class PublishedFile:
    """One file as its publishers give it.

    Attributes:
        path: below the folder of weights.
        url: where it is; a folder's address takes the file's own name. None for Google Drive.
        drive: its id at Google Drive; None for others.
        size: bytes; None where unknown.
        about: bytes, roughly, where `size` is unknown.
        sha256: hex digits; None where nobody says them.
        md5: hex digits; only for files that carry the first of them in their names.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    path: str
    url: str | None = None
    drive: str | None = None
    size: int | None = None
    about: int | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None

    def __post_init__(self) -> None:
        """Check what concerns several fields."""
        place, digits = PurePosixPath(self.path), re.search(r"_([0-9a-f]{6})\.pth$", self.path)
        if (self.url is None) == (self.drive is None):
            raise ValueError(f"{self.path} needs either url or drive")
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"{self.path} leads out of the folder of weights")
        if self.md5 and digits and not self.md5.startswith(digits[1]):
            raise ValueError(f"{self.path} has other digits in its name than its md5")

    @property
    def name(self) -> str:
        """Of the file alone."""
        return PurePosixPath(self.path).name

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        if self.drive is not None:
            return _DRIVE.format(self.drive)
        assert self.url is not None
        return self.url + self.name if self.url.endswith("/") else self.url

    @property
    def bytes(self) -> int:
        """Its size, at least roughly."""
        return self.size or self.about or 0


@dataclass(frozen=True)
class Weights:
    """One network's published weights.

    Attributes:
        name: what is typed.
        title: what it is, who made it and when.
        kind: which config group takes it.
        architecture: the network, in words.
        layout: how its tensors are named.
        licence: as its publishers say, or that they do not.
        page: where its publishers describe it.
        use: options of `run.py`.
        files: what it needs, in the order in which they are fetched.
        by_hand: why its publishers' pages give it to no program, and what to do instead; None where `get` fetches it.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    name: str
    title: str
    kind: Literal["clip", "sam", "text_segmenter"]
    architecture: str
    layout: str
    licence: str
    page: str
    use: str
    files: tuple[PublishedFile, ...]
    by_hand: str | None = None

    @property
    def bytes(self) -> int:
        """Of all files, at least roughly."""
        return sum(file.bytes for file in self.files)

    @property
    def download_size(self) -> str:
        """The same in words, with "about" where the size of a file is not known to the byte."""
        exact = all(file.size is not None for file in self.files)
        return f"{'' if exact else 'about '}{decimal(self.bytes)}"

    def details(self) -> str:
        """Everything that the catalogue says of it, in lines."""
        lines = [
            f"{self.name}: {self.title}",
            f"  network   {self.architecture}",
            f"  tensors   {self.layout}",
            f"  licence   {self.licence}",
            *([f"  by hand   {self.by_hand}"] if self.by_hand else []),
            f"  page      {self.page}",
            f"  use       {start_command()} {self.use}",
        ]
        for file in self.files:
            size = f"{file.size} bytes" if file.size is not None else f"about {decimal(file.bytes)}"
            lines.append(f"  file      {file.path}, {size}, SHA-256 {file.sha256 or 'unknown'}")
            lines.append(f"            {file.address}")
        return "\n".join(lines)


def read_catalogue(path: Path = CATALOGUE) -> dict[str, Weights]:
    """All published weights by name.

    Raises:
        UserError: the file says something that means nothing, with the entry's name.
    """
    return {name: _entry(name, content, path) for name, content in parsed_yaml(path.read_text()).items()}


@cache
def catalogue() -> Mapping[str, Weights]:
    """The project's own catalogue, read once."""
    return read_catalogue()


def find(name: str) -> Weights:
    """Published weights by name.

    Raises:
        UserError: there are none of this name.
    """
    if (found := catalogue().get(name)) is None:
        raise UserError(f"the catalogue has no weights {name!r}; {did_you_mean(name, catalogue())}")
    return found


def published_at(path: Path, folder: Path) -> Weights | None:
    """Whose file or folder this is in a folder of weights; None for anything else."""
    try:
        below = PurePosixPath(path.absolute().relative_to(folder.absolute()).as_posix())
    except ValueError:
        return None
    for weights in catalogue().values():
        places = [PurePosixPath(file.path) for file in weights.files]
        if any(below == place or below in place.parents[:-1] for place in places):
            return weights
    return None


@cache
def _adapter() -> TypeAdapter[Weights]:
    return TypeAdapter(Weights)


def _entry(name: str, content: Mapping[str, Any], path: Path) -> Weights:
    try:
        return _adapter().validate_python({"name": name, **content})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {name}.{where}: {first['msg']}") from error
