"""Predicted slices put back together as a volume on their scan's own voxels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.record import ScanRecord
from medsam_exp.types import UserError

Planes = Mapping[str, Callable[[], NDArray[Any]]]
"""By sample id what reads the (H, W) prediction of a slice: bool masks, or float32 maps in [0, 1]."""


@dataclass(frozen=True)
class Assembled:
    """Predictions of one scan.

    Attributes:
        record: the scan.
        classes: (I, J, K) by class, bool or float32; the class is "" where there is only one.
        missing: places along the cut's axis that nothing was predicted for; they are background.
    """

    record: ScanRecord
    classes: Mapping[str, NDArray[Any]]
    missing: tuple[int, ...]

    @property
    def overlaps(self) -> bool:
        """Whether a voxel belongs to two classes."""
        counts = np.zeros(self.record.shape, np.uint8)
        for mask in self.classes.values():
            counts += mask > 0
        return bool((counts > 1).any())


def assemble(record: ScanRecord, predicted: Mapping[str, Planes]) -> Assembled | None:
    """Put the predictions of a scan's slices where they were cut from.

    Args:
        record: the scan.
        predicted: by class, slices of this and of other scans.

    Returns:
        None where no slice of the scan was predicted.

    Raises:
        UserError: a prediction has not its slice's size.
    """
    volumes = {name: _volume(record, planes) for name, planes in predicted.items()}
    done = {
        index
        for planes in predicted.values()
        for sample_id, index in record.slices.items()
        if sample_id in planes
    }
    if not done:
        return None
    count = record.shape[record.view.axis]
    return Assembled(record, volumes, tuple(index for index in range(count) if index not in done))


def _volume(record: ScanRecord, planes: Planes) -> NDArray[Any]:
    volume: NDArray[Any] | None = None
    for sample_id, index in record.slices.items():
        if sample_id not in planes:
            continue
        plane = planes[sample_id]()
        if plane.shape != record.view.size(record.shape):
            height, width = record.view.size(record.shape)
            raise UserError(
                f"the prediction of {sample_id} has {plane.shape[1]} x {plane.shape[0]} pixels, its slice {width} x "
                f"{height}: give predictions in the size of the prepared images"
            )
        if volume is None:
            volume = np.zeros(record.shape, plane.dtype)
        record.view.put(volume, index, plane)
    return np.zeros(record.shape, bool) if volume is None else volume
