"""Saliency maps in the store: as the network gave them, brought to the original frame when they are read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.stages.records import Frame, MapRecord
from medsam_exp.types import SaliencyMap

if TYPE_CHECKING:
    from medsam_exp.training.saliency import SaliencyResult


def stored_form(result: "SaliencyResult") -> tuple[NDArray[np.floating[Any]], MapRecord]:
    """What to store of a map, and what its record must say.

    Returns:
        The grid (gh, gw), where its geometry can be named in a record; else the map (H, W) itself.
    """
    geometry = result.geometry.stored
    if geometry is None:
        return result.saliency_map.astype(np.float32, copy=False), {}
    frame: Frame = {"size": list(result.size), **geometry}  # type: ignore[typeddict-item]
    return result.grid, {"frame": frame}


def read_map(stored: StageArtifacts, sample_id: str, place: int | None = None) -> SaliencyMap:
    """A stored map of a sample.

    Args:
        stored: results of `saliency` or `control_maps`.
        sample_id: of the sample.
        place: of the map, where the sample has several.

    Returns:
        (H, W) float32 in [0, 1], original frame.
    """
    if place is None and (kept := stored.kept_maps.get(sample_id)) is not None:
        return kept
    values = stored.features(sample_id)
    return in_original_frame(values if place is None else values[place], stored.info(sample_id))


def in_original_frame(values: NDArray[np.float32], record: Mapping[str, Any]) -> SaliencyMap:
    """A map (H, W) from what `stored_form` gave."""
    from medsam_exp.saliency.geometry import from_stored_grid  # torch, which a report may do without

    frame = record.get("frame")
    return values if frame is None else from_stored_grid(values, frame, frame["size"])
