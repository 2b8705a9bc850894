"""The saliency map as mask logits besides the boxes."""

import numpy as np
import pytest

from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.map_and_box import MapAndBox
from medsam_exp.types import Prompts, UserError


def prompts_of(saliency: np.ndarray) -> tuple[Prompts, Prompts]:
    """What is asked with the map and without it, of two regions."""
    mask = np.zeros(saliency.shape, bool)
    mask[1:3, 2:4] = mask[5:7, 5:7] = True
    generator = np.random.default_rng(0)
    prompter = MapAndBox(box=BoxPerComponent(), scale=5, side=64).on_map(saliency)
    return prompter(mask, generator), BoxPerComponent()(mask, generator)


def test_each_box_has_the_map_as_logits() -> None:
    saliency = np.random.default_rng(1).random((8, 12), np.float32)
    made, plain = prompts_of(saliency)
    assert np.array_equal(made.boxes_xyxy, plain.boxes_xyxy)
    assert made.mask_logits.shape == (2, 8, 12)
    for logits in made.mask_logits:
        np.testing.assert_allclose(logits, 5 * (2 * saliency - 1), atol=1e-5)


def test_a_large_map_is_reduced_in_place() -> None:
    saliency = np.zeros((320, 128), np.float32)
    saliency[160:] = 1
    logits = prompts_of(saliency)[0].mask_logits[0]
    assert logits.shape == (64, 26)
    np.testing.assert_allclose(logits[:31], -5, atol=1e-5)
    np.testing.assert_allclose(logits[33:], 5, atol=1e-5)


@pytest.mark.parametrize("given", [{"scale": 0, "side": 64}, {"scale": 5, "side": 0}])
def test_numbers_must_be_above_zero(given: dict[str, int]) -> None:
    with pytest.raises(UserError, match=r"^prompt\.(scale|side) is 0"):
        MapAndBox(box=BoxPerComponent(), **given)
