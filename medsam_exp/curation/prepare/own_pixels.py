"""Slices of one's own scans: how they are cut, and their pixels when they are asked for."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.curation.prepare.own_masks import OwnMasks
from medsam_exp.data.volumes.grid import Plane, View
from medsam_exp.data.volumes.scan import Scan
from medsam_exp.data.volumes.windowing import WindowLevel
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Cutting:
    """How slices are cut.

    Attributes:
        plane: see `view_of`.
        window_level: how numbers become gray.
        every: every n-th slice, from the first.
        foreground: labels to be united as the target; None keeps all apart.
        only_foreground: slices whose mask has a pixel only.
    """

    plane: Plane
    window_level: WindowLevel
    every: int = 1
    foreground: tuple[int, ...] | None = None
    only_foreground: bool = False


@dataclass(frozen=True)
class PlannedScan:
    """One scan, its masks, and the slices that become images.

    Attributes:
        scan: what is cut.
        masks: its masks.
        id: its name in the prepared folder.
        group: its patient.
        view: the cut.
        slices: place along the view's axis by sample id.
        soft: whether soft edges of its masks were thresholded.
    """

    scan: Scan
    masks: OwnMasks
    id: str
    group: str
    view: View
    slices: dict[str, int]
    soft: bool = False


class LastScan:
    """Pixels of slices; keeps the last volume, as slices are asked for in order and by several threads at once."""

    def __init__(self, cutting: Cutting, *, labels: bool, redacted: bool) -> None:
        self._cutting, self._labels, self._redacted = cutting, labels, redacted
        self._lock = threading.Lock()
        self._id: str | None = None
        self._volume: NDArray[np.uint8] | None = None
        self._mask: NDArray[np.uint8] | None = None
        self._fault: UserError | None = None

    def read(
        self, planned: PlannedScan, index: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | NDArray[np.uint8] | None]:
        """The image of one slice, and its mask.

        Raises:
            UserError: the scan or its masks are damaged.
        """
        with self._lock:
            if self._id != planned.id:
                self._load(planned)
            volume, labels, fault = self._volume, self._mask, self._fault
        if volume is None:
            assert fault is not None
            raise fault
        image = np.ascontiguousarray(planned.view.take(volume, index))
        if labels is None:
            return image, None
        plane = np.ascontiguousarray(planned.view.take(labels, index))
        return image, plane if self._labels else plane > 0

    def _load(self, planned: PlannedScan) -> None:
        self._id, self._volume, self._mask, self._fault = planned.id, None, None, None
        try:
            self._mask = planned.masks.read(planned.scan.facts).labels if planned.masks else None
            self._volume = planned.scan.render(self._cutting.window_level)
        except UserError as error:
            self._fault = UserError(_without_files(str(error), planned)) if self._redacted else error


def _without_files(text: str, planned: PlannedScan) -> str:
    for path in (*planned.scan.facts.files, *planned.masks.files, *planned.masks.segmentations):
        text = text.replace(str(path), planned.id)
    return text.replace(planned.scan.facts.shown, planned.id)
