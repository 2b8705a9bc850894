"""A map that was stored as a grid is the map that the geometry gives, bit by bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.saliency.geometry import Geometry, Squash
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


@pytest.mark.parametrize("geometry", [Squash(PREPROCESS), CentreCrop(PREPROCESS), Elsewhere()], ids=type)
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
