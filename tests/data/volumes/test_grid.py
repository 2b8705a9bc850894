import itertools

import nibabel
import numpy as np
import pytest

from medsam_exp.data.volumes.grid import (
    PLANES,
    RAS_FROM_LPS,
    check_affine,
    nearest_world_axes,
    on_grid,
    view_of,
    voxel_size_mm,
)
from medsam_exp.types import UserError
from tests.data.volumes.synthetic import turned

SHAPE = (5, 6, 7)


def random_affine(seed: int, tilt: float = 0.4) -> np.ndarray:
    """Any order and direction of axes, tilted a little, with voxels of three different sizes."""
    rng = np.random.default_rng(seed)
    axes = np.eye(3)[:, rng.permutation(3)] * rng.choice([-1, 1], 3)
    affine = np.eye(4)
    affine[:3, :3] = turned(rng.uniform(-tilt, tilt, 3)) @ axes * rng.uniform(0.3, 5, 3)
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    return affine


@pytest.mark.parametrize("plane", PLANES)
def test_slices_go_back_to_where_they_were_cut(plane) -> None:
    for seed in range(20):
        volume = np.random.default_rng(seed).integers(0, 255, SHAPE)
        view = view_of(random_affine(seed), plane)
        again = np.zeros_like(volume)
        for index in range(SHAPE[view.axis]):
            cut = view.take(volume, index)
            assert cut.shape == view.size(SHAPE), f"seed {seed}"
            view.put(again, index, cut)
        assert (again == volume).all(), f"seed {seed}"
        colours = np.stack([volume, volume + 1, volume + 2], axis=-1)
        assert (view.take(colours, 2)[..., 1] == view.take(volume, 2) + 1).all(), f"seed {seed}"


def test_slices_are_turned_as_radiologists_look_at_them() -> None:
    """Followed through coordinates: where do the next row and the next column lie in the patient?"""
    for seed in range(20):
        _follow_rows_and_columns(random_affine(seed))


def _follow_rows_and_columns(affine: np.ndarray) -> None:
    world = np.einsum("ab,ijkb->ijka", affine, np.stack([*np.indices(SHAPE), np.ones(SHAPE)], axis=-1))[
        ..., :3
    ]
    toward = {
        "axial": ([0, 1, 0], [1, 0, 0]),
        "coronal": ([0, 0, -1], [1, 0, 0]),
        "sagittal": ([0, 0, -1], [0, 1, 0]),
    }
    for plane, (down, right) in toward.items():
        view = view_of(affine, plane)
        points = view.take(world, 1)
        row, column = points[1, 0] - points[0, 0], points[0, 1] - points[0, 0]
        assert row @ down > 0.5 * np.linalg.norm(row)
        assert column @ right > 0.5 * np.linalg.norm(column)
        np.testing.assert_allclose(view.spacing_mm(affine), [np.linalg.norm(row), np.linalg.norm(column)])
        assert view.plane == plane


def test_axes_are_nibabels() -> None:
    for seed in range(30):
        affine = random_affine(seed)
        orientation = nibabel.io_orientation(RAS_FROM_LPS @ affine)
        assert nearest_world_axes(affine) == tuple(orientation[:, 0].astype(int)), f"seed {seed}"
        np.testing.assert_allclose(voxel_size_mm(affine), nibabel.affines.voxel_sizes(affine))


def test_an_ordinary_axial_series_is_shown_as_stored() -> None:
    affine = np.diag([0.7, 0.8, 3, 1.0])
    view = view_of(affine, "acquired")
    volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    assert (view.take(volume, 4) == volume[:, :, 4].T).all()
    assert view.plane == "axial"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([1, -1], repeat=3)))
def test_a_mask_on_turned_axes_comes_onto_its_image(order, flips) -> None:
    affine = random_affine(sum(order[:2]) + 7)
    volume = np.random.default_rng(1).integers(0, 9, SHAPE)
    theirs = nibabel.Nifti1Image(volume.astype(np.int16), RAS_FROM_LPS @ affine).as_reoriented(
        np.column_stack([np.argsort(order), flips])
    )
    found = on_grid(np.asarray(theirs.dataobj), RAS_FROM_LPS @ theirs.affine, SHAPE, affine, "mask.nii.gz")
    assert (found == volume).all()


@pytest.mark.parametrize("change", ["moved", "scaled", "tilted", "cut"])
def test_a_mask_elsewhere_is_refused(change: str) -> None:
    affine = random_affine(3)
    other, mask = affine.copy(), np.zeros(SHAPE)
    if change == "moved":
        other[:3, 3] += 0.4 * affine[:3, 0]
    elif change == "scaled":
        other[:3, 1] *= 1.2
    elif change == "tilted":
        other[:3, :3] = turned([0.1, 0, 0]) @ affine[:3, :3]
    else:
        mask = mask[:-1]
    with pytest.raises(UserError, match=r"mask.nii does not lie on the voxels of its image .*resample"):
        on_grid(mask, other, SHAPE, affine, "mask.nii")


@pytest.mark.parametrize("broken", [np.diag([1.0, 1, 0, 1]), np.full((4, 4), np.nan), np.ones((4, 4))])
def test_affines_without_sense(broken) -> None:
    with pytest.raises(UserError, match=r"scan.nii has an affine that gives its voxels no size"):
        check_affine(broken, "scan.nii")
