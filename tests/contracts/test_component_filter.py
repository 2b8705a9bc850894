"""Every choice of conf/component_filter keeps whole regions of every kind of mask, and adds nothing."""

import numpy as np
import pytest

from medsam_exp.config.build import build
from medsam_exp.masks.components import label_components
from medsam_exp.types import ComponentFilter, Mask, SaliencyMap
from tests.compose import CONF, composed
from tests.contracts.shapes import SHAPES

CHOICES = sorted(path.stem for path in (CONF / "component_filter").glob("*.yaml"))


@pytest.fixture(params=CHOICES)
def component_filter(request: pytest.FixtureRequest) -> ComponentFilter:
    return build(composed(f"component_filter={request.param}").component_filter)


def masks(shape: tuple[int, int]) -> dict[str, Mask]:
    height, width = shape
    one, boxes = np.zeros(shape, bool), np.zeros(shape, bool)
    one[height // 2, width // 3] = True
    boxes[: height // 3, : width // 3] = boxes[height // 2 :, width // 2 :] = True
    named = {
        "empty": np.zeros(shape, bool),
        "full": np.ones(shape, bool),
        "a pixel": one,
        "boxes": boxes,
        "noise": np.random.default_rng(0).random(shape) < 0.2,
    }
    for mask in named.values():
        mask.flags.writeable = False
    return named


def maps(shape: tuple[int, int]) -> dict[str, SaliencyMap]:
    named = {
        "zero": np.zeros(shape, np.float32),
        "one": np.ones(shape, np.float32),
        "noise": np.random.default_rng(1).random(shape, np.float32),
    }
    for saliency_map in named.values():
        saliency_map.flags.writeable = False
    return named


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_whole_regions_are_kept_or_dropped(component_filter: ComponentFilter, shape: tuple[int, int]) -> None:
    for mask in masks(shape).values():
        labels, count = label_components(mask)
        for saliency_map in maps(shape).values():
            kept = component_filter(mask, saliency_map)
            assert kept.dtype == np.bool_
            assert kept.shape == shape
            areas = np.bincount(labels.ravel(), minlength=count + 1)
            kept_areas = np.bincount(labels.ravel(), weights=kept.ravel(), minlength=count + 1)
            assert kept_areas[0] == 0
            assert np.isin(kept_areas / np.maximum(areas, 1), [0, 1]).all()
            assert np.array_equal(component_filter(mask, saliency_map), kept)
            assert np.array_equal(component_filter(kept, saliency_map), kept)  # a second time changes nothing


def test_a_bright_region_alone_is_kept(component_filter: ComponentFilter) -> None:
    mask = masks((47, 21))["a pixel"]
    assert np.array_equal(component_filter(mask, np.ones(mask.shape, np.float32)), mask)
