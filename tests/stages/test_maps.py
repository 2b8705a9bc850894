"""A map that was stored as a grid is the map that the geometry gives, bit by bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.kept_arrays import KeptArrays
from medsam_exp.saliency.geometry import Geometry, Pad, Squash
from medsam_exp.saliency.m2ib_released import CentreCrop
from medsam_exp.stages.maps import read_map, stored_form
from medsam_exp.training.saliency import SaliencyResult

PREPROCESS = Preprocess((28, 28), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
GRIDS = {"patches": (14, 14), "pixels of the network": (28, 28), "flat": (1, 1), "uneven": (3, 5)}


class Elsewhere:
    """A geometry of another package, whose way back no record can name."""

    stored = None
    preprocess = staticmethod(torch.from_numpy)

    def to_original_frame(self, relevance: torch.Tensor, size: tuple[int, int]) -> Any:
        return np.full(size, float(relevance.max()), np.float32)


GEOMETRIES = [Squash(PREPROCESS), CentreCrop(PREPROCESS), Pad(PREPROCESS), Elsewhere()]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=type)
@pytest.mark.parametrize("size", [(40, 56), (28, 28), (1, 9), (131, 70)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_read_is_what_the_geometry_gave(
    tmp_path: Path, geometry: Geometry, size: tuple[int, int], dtype: torch.dtype
) -> None:
    artifacts = StageArtifacts(tmp_path, "saliency", "k", dict.fromkeys(GRIDS, "1" * 64))
    random = torch.Generator().manual_seed(0)
    for name, shape in GRIDS.items():
        relevance = torch.randn(shape, generator=random, dtype=dtype)
        expected = geometry.to_original_frame(relevance.clone(), size)
        result = SaliencyResult(relevance.numpy(), geometry, size)
        array, record = stored_form(result)
        artifacts.save(name, record, array)
        assert array.shape == (shape if geometry.stored else size)
        assert read_map(artifacts, name).tobytes() == result.saliency_map.tobytes() == expected.tobytes()


def test_maps_that_a_stage_keeps_are_read_from_memory_as_far_as_there_is_room(tmp_path: Path) -> None:
    artifacts = StageArtifacts(tmp_path, "saliency", "k", {"a": "1" * 64, "b": "2" * 64})
    artifacts.kept_maps = KeptArrays(most_bytes=4 * 20 * 30)
    results = {
        name: SaliencyResult(
            np.random.default_rng(seed).random((14, 14), np.float32), Squash(PREPROCESS), (20, 30)
        )
        for seed, name in enumerate("ab")
    }
    for name, result in results.items():
        array, record = stored_form(result)
        artifacts.kept_maps.keep(name, result.saliency_map)
        artifacts.save(name, record, array)
    assert [artifacts.kept_maps.get(name) is None for name in "ab"] == [False, True]
    for name, result in results.items():
        for _ in range(2):
            found = read_map(artifacts, name)
            assert found.tobytes() == result.saliency_map.tobytes()
            found[:] = 0  # the caller's own


def test_one_map_of_several(tmp_path: Path) -> None:
    artifacts = StageArtifacts(tmp_path, "control_maps", "k", {"a": "1" * 64})
    grids = np.random.default_rng(0).random((3, 14, 14), np.float32)
    results = [SaliencyResult(grid, Squash(PREPROCESS), (20, 30)) for grid in grids]
    artifacts.save("a", stored_form(results[0])[1], grids)
    for place, result in enumerate(results):
        assert np.array_equal(read_map(artifacts, "a", place), result.saliency_map)


def test_a_stored_map_takes_no_more_than_a_kilobyte(tmp_path: Path) -> None:
    grid = np.random.default_rng(0).random((14, 14), np.float32)
    array, record = stored_form(SaliencyResult(grid, Squash(PREPROCESS), (2048, 2500)))
    assert array.nbytes + len(json.dumps(record)) < 1000
