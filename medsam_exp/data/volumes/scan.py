"""Scans before and after their slices are cut: geometry, pixels on demand, and the record `geometry.json`.

The record is what writing masks back needs. It holds no name, no path and no patient's id; of DICOM the unique ids of
study, series and images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.grid import STORED, Affine, Plane, View, view_of
from medsam_exp.data.volumes.windowing import WindowLevel
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.foreign import parsed_json
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError


@dataclass(frozen=True)
class ScanFacts:
    """What is known of a scan before its pixels are read.

    Attributes:
        shown: what the user calls it, for errors and notes; may be a path.
        kind: dicom, nifti, itk or picture.
        shape: (I, J, K).
        affine: to mm LPS. Of pictures without a place: their pixels' size, and 1 from picture to picture.
        placed: whether the affine says where the patient is.
        spacing_known: whether the affine's sizes in i and j are millimetres.
        modality: as DICOM writes it ("CT"); "" where it is unknown.
        patient: what tells patients apart, secret; "" where it is unknown.
        source: what writing back needs, JSON-able, without a name or a path.
        notes: what was mended or is odd, one sentence each.
    """

    shown: str
    kind: str
    shape: tuple[int, int, int]
    affine: Affine
    placed: bool
    spacing_known: bool
    modality: str = ""
    patient: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stem: str = ""
    files: tuple[Path, ...] = ()

    def view(self, plane: Plane) -> View:
        """The cut nearest to a plane; pictures without a place are shown as stored."""
        return view_of(self.affine, plane) if self.placed else STORED

    def spacing_mm(self, view: View) -> tuple[float, float] | None:
        """(row, column) size of a pixel of the view's slices; None when unknown."""
        return view.spacing_mm(self.affine) if self.spacing_known else None


class Scan(Protocol):
    """A scan whose pixels are read on demand.

    Attributes:
        facts: see `ScanFacts`.
    """

    facts: ScanFacts

    def render(self, window_level: WindowLevel) -> NDArray[np.uint8]:
        """Read everything: (I, J, K) gray or (I, J, K, 3) RGB as a screen shows it."""
        ...


GEOMETRY = "geometry.json"
_FORMAT = 1
_FRAME = "affine takes (i, j, k, 1) to mm in LPS: x to the patient's left, y to the back, z to the head"


@dataclass(frozen=True)
class ScanRecord:
    """One scan of a prepared folder.

    Attributes:
        id: its name in the prepared folder.
        kind, modality, shape, affine, placed, spacing_known, source: as of `ScanFacts`.
        view: how slices were cut.
        look: how numbers became gray, in words.
        slices: place along the view's axis by sample id.
    """

    id: str
    kind: str
    modality: str
    shape: tuple[int, int, int]
    affine: Affine
    placed: bool
    spacing_known: bool
    view: View
    look: str
    source: Mapping[str, Any]
    slices: Mapping[str, int]

    @classmethod
    def of(
        cls, name: str, facts: ScanFacts, view: View, window_level: WindowLevel, slices: Mapping[str, int]
    ) -> "ScanRecord":
        """The record of a scan whose slices were cut and made gray in these ways."""
        return cls(
            name,
            facts.kind,
            facts.modality,
            facts.shape,
            facts.affine,
            facts.placed,
            facts.spacing_known,
            view,
            window_level.describe(),
            facts.source,
            slices,
        )


def write_record(folder: Path, scans: Sequence[ScanRecord]) -> None:
    """Write `geometry.json`; equal scans give equal bytes.

    Args:
        folder: the prepared folder.
        scans: in any order.
    """
    content = {
        "format": _FORMAT,
        "frame": _FRAME,
        "scans": [
            {
                **vars(scan),
                "affine": scan.affine.tolist(),
                "view": vars(scan.view),
                "slices": dict(scan.slices),
            }
            for scan in sorted(scans, key=lambda scan: scan.id)
        ],
    }
    write_atomically(folder / GEOMETRY, (json_text(content, indent=1) + "\n").encode())


def read_record(folder: Path) -> tuple[ScanRecord, ...]:
    """The scans of a prepared folder.

    Raises:
        UserError: there is no record, or it is damaged.
    """
    path = folder / GEOMETRY
    try:
        content = parsed_json(path.read_text(encoding="utf-8"), path, "prepare the data again")
        if content["format"] != _FORMAT:
            raise UserError(
                f"{path} has the format {content['format']}, known is {_FORMAT}: prepare the data again"
            )
        return tuple(_scan(item) for item in content["scans"])
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} has no {GEOMETRY}: give a folder made by medsam-exp prepare own"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error!r}): prepare the data again") from error


def _scan(item: Mapping[str, Any]) -> ScanRecord:
    i, j, k = item["shape"]
    return ScanRecord(
        **{
            **item,
            "shape": (int(i), int(j), int(k)),
            "affine": np.array(item["affine"], np.float64).reshape(4, 4),
            "view": View(**item["view"]),
        }
    )
