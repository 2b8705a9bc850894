from pathlib import Path

import numpy as np
import pytest

from medsam_exp.masks.component_filter.largest import LargestComponents
from medsam_exp.masks.postprocess.threshold import Threshold
from medsam_exp.types import Mask, UserError


def binarise(values: list[float], value: float) -> list[bool]:
    saliency_map = np.array([values], np.float32)
    mask: Mask = Threshold(value)(saliency_map, np.zeros((1, len(values), 3), np.uint8))
    return mask[0].tolist()


@pytest.mark.parametrize("number", range(4))
def test_equals_released_masks(goldens: Path, number: int) -> None:
    with np.load(goldens / "postprocess.npz") as stored:
        saliency_map = stored[f"saliency_{number}"].astype(np.float32) / 255
        image, released = stored[f"image_bgr_{number}"], stored[f"threshold03_keep1_{number}"]
    mask = Threshold(0.3)(saliency_map, image)
    assert np.array_equal(LargestComponents(1)(mask, saliency_map), released)


def test_the_value_itself_is_background() -> None:
    assert binarise([0.0, 0.29, 0.3, 0.31, 1.0], 0.3) == [False, False, False, True, True]
    assert binarise([0.0, 1e-7, 1.0], 0) == [False, True, True]
    assert binarise([0.0, 0.999, 1.0], 1) == [False, False, False]


def test_knows_no_other_pixel() -> None:
    assert binarise([0.5, 0.5], 0.4) == [True, True]
    assert binarise([0.5, 0.5], 0.6) == [False, False]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_impossible_values_are_clear_errors(value: float) -> None:
    with pytest.raises(UserError, match=r"postprocess\.value is"):
        Threshold(value)
