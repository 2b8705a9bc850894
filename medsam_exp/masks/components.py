"""Connected components of a mask, as all component filters see them."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from medsam_exp.types import Mask

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Regions:
    """The separate regions of a mask; pixels that touch at a corner belong together (8-connectivity).

    They are made of runs, foreground pixels side by side in a row. A mask has few of them, so that most work is
    done by run and not by pixel.

    Attributes:
        mask: (H, W) bool.
        rows: (R,) row of each run, in scan order.
        columns: (R,) column of each run's first pixel.
        lengths: (R,) number of pixels of each run.
        owners: (R,) region of each run: 0 to count - 1, in scan order of each region's first pixel.
        count: number of regions.
    """

    mask: Mask
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    lengths: NDArray[np.intp]
    owners: NDArray[np.intp]
    count: int

    @property
    def areas(self) -> NDArray[np.intp]:
        """(count,) number of pixels of each region."""
        return np.bincount(self.owners, self.lengths, self.count).astype(np.intp)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(count, 4) smallest box x0, y0, x1, y1 around each region."""
        boxes = np.tile(np.array([np.inf, np.inf, 0, 0], np.float32), (self.count, 1))
        for side, places, fit in (
            (0, self.columns, np.minimum),
            (1, self.rows, np.minimum),
            (2, self.columns + self.lengths, np.maximum),
            (3, self.rows + 1, np.maximum),
        ):
            fit.at(boxes[:, side], self.owners, places)
        return boxes

    def by_pixel(self, values: NDArray[Value]) -> NDArray[Value]:
        """The region's one of (count,) values for each foreground pixel, (n,) in scan order."""
        return np.repeat(values[self.owners], self.lengths)

    def sums(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(count,) sum over each region of values (H, W)."""
        if not self.count:
            return np.zeros(0)
        starts = np.cumsum(self.lengths) - self.lengths
        of_runs = np.add.reduceat(values[self.mask], starts, dtype=np.float64)
        return np.bincount(self.owners, of_runs, self.count).astype(np.float64, copy=False)

    def only(self, kept: NDArray[np.bool_]) -> Mask:
        """(H, W) mask of those regions alone that are kept, (count,)."""
        if kept.all():
            return self.mask
        mask = np.zeros_like(self.mask)
        mask[self.mask] = self.by_pixel(kept)
        return mask


def regions_of(mask: Mask) -> Regions:
    """Find the separate regions of an (H, W) mask."""
    pitch = mask.shape[1] + 1
    padded = np.zeros(
        (len(mask), pitch), bool
    )  # with a column of background, which ends the last run of each row
    padded[:, :-1] = mask
    edges = np.flatnonzero(np.diff(padded.ravel(), prepend=False))
    starts, stops = edges[::2], edges[1::2]
    # The runs in the row above that touch a run, also at a corner, follow each other: those from `first` to `last`.
    first = np.searchsorted(stops, starts - pitch)
    last = np.searchsorted(starts, stops - pitch, side="right")
    touching = np.maximum(last - first, 0)
    ends = np.append(0, np.cumsum(touching))
    neighbours = np.arange(ends[-1]) - np.repeat(ends[:-1] - first, touching)
    graph = csr_array((np.ones(ends[-1], bool), neighbours, ends), shape=(len(starts), len(starts)))
    count, owners = connected_components(graph, directed=False)
    in_scan_order = np.argsort(np.argsort(np.unique(owners, return_index=True)[1]))
    return Regions(mask, *np.divmod(starts, pitch), stops - starts, in_scan_order[owners], count)


def label_components(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Number the separate regions of a mask; pixels that touch at a corner belong together (8-connectivity).

    Args:
        mask: (H, W) bool.

    Returns:
        labels: (H, W) int32, 0 background, 1..count in scan order of each region's first pixel.
        count: number of regions.
    """
    regions = regions_of(mask)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = regions.by_pixel(np.arange(1, regions.count + 1, dtype=np.int32))
    return labels, regions.count
