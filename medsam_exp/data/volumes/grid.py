"""Geometry of volumes: affines, planes and how slices are cut and oriented."""

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medsam_exp.runtime.extras import require
from medsam_exp.types import UserError

Affine = NDArray[np.float64]
"""(4, 4), from (i, j, k, 1) to mm in LPS."""
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS into RAS, NIfTI's frame, and back."""
Plane = Literal["acquired", "axial", "coronal", "sagittal", "0", "1", "2"]
PLANES: tuple[Plane, ...] = ("acquired", "axial", "coronal", "sagittal", "0", "1", "2")
_NORMALS = {"sagittal": 0, "coronal": 1, "axial": 2}
# Of a plane across world axis x, y or z: the world axis and direction (LPS) in which columns, and rows, are counted.
_COLUMNS_GO = {0: (1, 1), 1: (0, 1), 2: (0, 1)}
_ROWS_GO = {0: (2, -1), 1: (2, -1), 2: (1, 1)}


@dataclass(frozen=True)
class View:
    """How slices are cut from a volume.

    Attributes:
        axis: array axis from slice to slice.
        row_axis: array axis that a slice's rows count.
        column_axis: array axis that its columns count.
        row_flip: rows count against the array.
        column_flip: columns count against the array.
        plane: axial, coronal or sagittal, whichever is nearest.
    """

    axis: int
    row_axis: int
    column_axis: int
    row_flip: bool
    column_flip: bool
    plane: str

    def take(self, values: NDArray[Any], index: int) -> NDArray[Any]:
        """Cut a slice, oriented as radiologists look at it.

        Args:
            values: (I, J, K) or (I, J, K, C).
            index: along `axis`.

        Returns:
            (H, W) or (H, W, C).
        """
        plane = np.take(values, index, axis=self.axis)
        if self.row_axis > self.column_axis:
            plane = plane.swapaxes(0, 1)
        result: NDArray[Any] = plane[:: -1 if self.row_flip else 1, :: -1 if self.column_flip else 1]
        return result

    def put(self, values: NDArray[Any], index: int, plane: NDArray[Any]) -> None:
        """Write a slice into an array in place; undoes `take`.

        Args:
            values: (I, J, K).
            index: along `axis`.
            plane: (H, W).
        """
        turned = plane[:: -1 if self.row_flip else 1, :: -1 if self.column_flip else 1]
        if self.row_axis > self.column_axis:
            turned = turned.swapaxes(0, 1)
        where: list[Any] = [slice(None)] * 3
        where[self.axis] = index
        values[tuple(where)] = turned

    def size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(H, W) of every slice of a volume of this shape."""
        return shape[self.row_axis], shape[self.column_axis]

    def spacing_mm(self, affine: Affine) -> tuple[float, float]:
        """(row, column) size of a slice's pixel."""
        sizes = voxel_size_mm(affine)
        return sizes[self.row_axis], sizes[self.column_axis]


STORED = View(axis=2, row_axis=1, column_axis=0, row_flip=False, column_flip=False, plane="as stored")
"""Pictures without a place in the patient: shown as they are stored."""


def view_of(affine: Affine, plane: Plane) -> View:
    """The cut of a volume that comes nearest to a plane, turned as radiologists look at it.

    Axial and coronal slices have the patient's right at the left, axial ones the front at the top, coronal and
    sagittal ones the head at the top, sagittal ones the front at the left.

    Args:
        affine: of the volume.
        plane: axial, coronal or sagittal; 0, 1 or 2 for an array axis; acquired for the last one, k.
    """
    if plane not in PLANES:
        raise UserError(f"axis is {plane!r}: choose one of {', '.join(PLANES)}")
    world = nearest_world_axes(affine)
    axis = world.index(_NORMALS[plane]) if plane in _NORMALS else 2 if plane == "acquired" else int(plane)
    column_world, column_sign = _COLUMNS_GO[world[axis]]
    row_world, row_sign = _ROWS_GO[world[axis]]
    column_axis, row_axis = world.index(column_world), world.index(row_world)
    return View(
        axis,
        row_axis,
        column_axis,
        bool(affine[row_world, row_axis] * row_sign < 0),
        bool(affine[column_world, column_axis] * column_sign < 0),
        next(name for name, number in _NORMALS.items() if number == world[axis]),
    )


def nearest_world_axes(affine: Affine) -> tuple[int, int, int]:
    """For each array axis the world axis (0 x, 1 y, 2 z) that it runs along most, no two the same."""
    cosines = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    orders = itertools.permutations(range(3))
    best = max(orders, key=lambda order: sum(cosines[w, a] for a, w in enumerate(order)))
    return best[0], best[1], best[2]


def voxel_size_mm(affine: Affine) -> tuple[float, float, float]:
    """Size of a voxel along each array axis."""
    i, j, k = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
    return i, j, k


def check_affine(affine: Affine, where: str) -> Affine:
    """Refuse an affine that gives voxels no size.

    Args:
        affine: (4, 4).
        where: the file, for the error.

    Returns:
        The affine.

    Raises:
        UserError: it has numbers that are not finite, or no volume.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0) if np.isfinite(affine).all() else np.zeros(3)
    if not sizes.all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise UserError(f"{where} has an affine that gives its voxels no size: export the volume again")
    return affine


def on_grid(
    values: NDArray[Any], affine: Affine, shape: tuple[int, ...], target: Affine, where: str
) -> NDArray[Any]:
    """Permute and flip an array whose voxels are those of another grid, so that it matches that grid.

    Args:
        values: (I, J, K) array.
        affine: of the array.
        shape: (I, J, K) of the grid wanted.
        target: its affine.
        where: names the array's file in the error.

    Raises:
        UserError: the two do not have the same voxels.
    """
    require("nibabel")
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    step = np.linalg.solve(target, affine)
    order = io_orientation(step)
    turned: NDArray[Any] = apply_orientation(values, order)
    off = step @ inv_ornt_aff(order, values.shape) - np.eye(4)
    corners = np.array(list(itertools.product(*((0, n - 1) for n in turned.shape), [1])))
    if turned.shape == tuple(shape) and np.abs(corners @ off.T).max() < 0.05:
        return turned
    raise UserError(
        f"{where} does not lie on the voxels of its image ({_sizes(values.shape)} against {_sizes(shape)} voxels, "
        "or another place): resample it to the image's grid"
    )


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
