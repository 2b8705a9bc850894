"""What slices are cut from: a volume, or a stack of pictures that have no place in the patient."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.grid import STORED, Affine, Plane, View, view_of
from medsam_exp.data.volumes.window_level import Look


@dataclass(frozen=True)
class ScanFacts:
    """What is known of a scan before its pixels are read.

    Attributes:
        shown: what the user calls it, for errors and notes; may be a path.
        kind: dicom, nifti or itk.
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
    """A scan whose pixels are read when they are asked for.

    Attributes:
        facts: see `ScanFacts`.
    """

    facts: ScanFacts

    def render(self, look: Look) -> NDArray[np.uint8]:
        """Read everything: (I, J, K) gray or (I, J, K, 3) RGB as a screen shows it."""
        ...
