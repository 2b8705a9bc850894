"""What every filter of SAM's mask promises, over all YAMLs of conf/mask_filter."""

import numpy as np
import pytest

from medsam_exp.config.build import build
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "mask_filter").glob("*.yaml"))
SIZES = [(1, 1), (1, 40), (40, 1), (3, 2), (37, 53), (900, 700)]


@pytest.fixture(scope="module", params=CHOICES)
def mask_filter(request: pytest.FixtureRequest):
    return build(composed(f"mask_filter={request.param}").mask_filter)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("density", [0, 0.2, 1])
def test_it_only_takes_away(mask_filter, size: tuple[int, int], density: float) -> None:
    generator = np.random.default_rng(0)
    mask, saliency_map = generator.random(size) < density, generator.random(size, np.float32)
    before = mask.copy()
    kept = mask_filter(mask, saliency_map)
    assert kept.shape == size
    assert kept.dtype == np.bool_
    assert not (kept & ~mask).any()
    assert np.array_equal(mask, before)
    assert np.array_equal(mask_filter(mask, saliency_map), kept)
    assert np.array_equal(mask_filter(kept, saliency_map), kept), "a second time changes nothing"


def test_one_region_is_kept(mask_filter) -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:9] = True
    assert np.array_equal(mask_filter(mask, np.ones((9, 12), np.float32)), mask)
    one_pixel = np.zeros((9, 12), bool)
    one_pixel[8, 0] = True
    assert np.array_equal(mask_filter(one_pixel, np.ones((9, 12), np.float32)), one_pixel)
