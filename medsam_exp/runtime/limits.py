"""How much a file of others may hold: `conf/limits`, asked of headers before memory is taken.

A run uses the limits of its configuration; whatever is called without one uses those of the file, one's own where
a run would take it, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from medsam_exp.runtime.conf_folder import conf_folder, own_folder
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.yaml_text import parsed_yaml

MIB, GIB = 1 << 20, 1 << 30
_SMALL = 64 * MIB
"""Bytes that a packed file may always grow to."""


@dataclass(frozen=True)
class Limits:
    """As `conf/limits/default.yaml` explains them.

    Attributes:
        image_mib: of a picture or a frame, decoded.
        volume_mib: of a volume in float32.
        text_mib: of a text file on disk.
        nesting: of lists and tables in a YAML or JSON file.
        frames: of one DICOM file.
        weights_gib: of all tensors of a file.
        unpacked_gib: of all archives within an archive.
        packing: times that a large packed file may grow.

    Raises:
        UserError: one is no positive number.
    """

    image_mib: float
    volume_mib: float
    text_mib: float
    nesting: float
    frames: float
    weights_gib: float
    unpacked_gib: float
    packing: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UserError(f"limits.{name} is {value!r:.60}, but it must be a number above 0")

    def is_bomb(self, packed: int, unpacked: int) -> bool:
        """Whether so many packed bytes say that they grow as no honest file does."""
        return unpacked > _SMALL and unpacked > self.packing * packed


def limits() -> Limits:
    """Those in force in this process."""
    return _in_force[0] if _in_force else _of_file()


def use_limits(values: Mapping[str, Any]) -> None:
    """Put limits in force, in this process and in those that it forks.

    Args:
        values: all of them, by name.

    Raises:
        UserError: one is no positive number.
    """
    _in_force[:] = [Limits(**values)]


def refuse_long_text(path: Path) -> None:
    """Refuse a text file that is too long, before it is read; one that is not there is left to its reader.

    Raises:
        UserError: it is longer than `limits.text_mib`.
    """
    refuse_beyond(path, path.stat().st_size if path.is_file() else 0, "text_mib", MIB, "shorten it")


def refuse_beyond(shown: object, size: float, name: str, unit: int, mend: str) -> None:
    """Refuse what would take more bytes than a limit.

    Args:
        shown: the file.
        size: bytes.
        name: of the limit.
        unit: bytes that it counts.
        mend: what to do, besides raising the limit.

    Raises:
        UserError: it is beyond.
    """
    limit = getattr(limits(), name)
    if size > limit * unit:
        measure = {MIB: "MiB", GIB: "GiB"}[unit]
        raise UserError(
            f"{shown} takes {size / unit:,.0f} {measure}, more than limits.{name}={limit:g}: {mend}, or raise the limit"
        )


_in_force: list[Limits] = []


@cache
def _of_file() -> Limits:
    places = [
        folder / "limits" / "default.yaml" for folder in (own_folder(), conf_folder()) if folder is not None
    ]
    path = next(place for place in places if place.is_file() or place == places[-1])
    content = parsed_yaml(path.read_text(encoding="utf-8"))
    names = [each.name for each in fields(Limits)]
    if not isinstance(content, dict) or set(content) != set(names):
        raise UserError(f"{path} does not say {', '.join(names)}; copy it from {places[-1]}")
    return Limits(**content)
