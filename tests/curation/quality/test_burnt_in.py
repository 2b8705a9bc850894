"""Words and measuring crosses, and what only looks like them."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from medsam_exp.curation.quality.burnt_in import (
    Overlay,
    _maximum,
    _minimum,
    _white_top_hat,
    find_overlay,
    outline_is_drawn,
)
from tests.clean_data import scan

SIZE = (220, 300)


def with_text(
    text: str, size: int, place: tuple[int, int], seed: int = 1
) -> tuple[np.ndarray, tuple[float, ...]]:
    """An image with a text, and the text's box."""
    picture, font = Image.fromarray(scan(seed, SIZE)), ImageFont.load_default(size=size)
    drawing = ImageDraw.Draw(picture)
    drawing.text(place, text, fill=235, font=font)
    return np.asarray(picture), drawing.textbbox(place, text, font=font)


@pytest.mark.parametrize("size", [12, 16, 24])
@pytest.mark.parametrize("text", ["LEFT", "RT 10", "AXILLA", "left axilla"])
def test_words_are_found_where_they_stand(text, size):
    image, box = with_text(text, size, (60, 130))
    (found,) = find_overlay(image).words
    overlap = max(0, min(found[2], box[2]) - max(found[0], box[0])) / (box[2] - box[0])
    assert overlap > 0.6
    assert box[1] - 3 <= found[1] < found[3] <= box[3] + 3


def test_tissue_is_no_writing():
    assert [seed for seed in range(12) if find_overlay(scan(seed, SIZE)) != Overlay()] == []


def test_bright_lines_and_spots_are_no_writing():
    image = scan(3, SIZE)
    for row in range(30, 200, 30):
        image[row : row + 3, 20:280] = 235  # borders of tissue
    image[50:90, 100:140] = 235  # a calcification
    assert find_overlay(image) == Overlay()


def test_an_image_of_black_and_white_is_not_judged():
    image, _ = with_text("LEFT BREAST", 16, (60, 130))
    assert find_overlay(image).words
    image = np.vstack([np.full((60, 300), 255, dtype=np.uint8), image[60:]])
    assert find_overlay(image) == Overlay()


def crossed(*centres: tuple[int, int]) -> np.ndarray:
    image = scan(2, SIZE) // 2
    for x, y in centres:
        image[y, x - 5 : x + 6] = 230
        image[y - 5 : y + 6, x] = 230
    return image


def test_two_crosses_measure_and_one_does_not():
    assert find_overlay(crossed((80, 60))).crosses == ()
    found = find_overlay(crossed((80, 60), (180, 150))).crosses
    assert len(found) == 2
    for x, y in ((80, 60), (180, 150)):
        assert min(abs(a - x) + abs(b - y) for a, b in found) <= 2


def test_places_are_in_the_original_frame():
    large = np.kron(crossed((80, 60), (180, 150)), np.ones((5, 5), dtype=np.uint8))
    found = find_overlay(large).crosses
    assert {(round(x / 50), round(y / 50)) for x, y in found} == {(8, 6), (18, 15)}


@pytest.mark.parametrize(("shades", "drawn"), [((250, 250), True), ((232, 255), False)])
def test_a_bright_rim_of_uneven_shades_is_no_line(shades, drawn):
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    image = np.full((60, 60), 40, np.uint8)
    rim = mask & ~ndimage.binary_erosion(mask)
    image[rim] = np.resize(shades, rim.sum())
    assert (
        outline_is_drawn(np.repeat(image[..., None], 3, axis=2), mask) is drawn
    )  # a bool, which JSON can say


@pytest.mark.parametrize("size", [3, 5, 9, 11])
def test_windows_are_those_of_scipy(size):
    values = np.random.default_rng(size).integers(0, 256, (40, 33), dtype=np.uint8)
    np.testing.assert_array_equal(
        _maximum(values, size), ndimage.maximum_filter(values, size, mode="nearest")
    )
    np.testing.assert_array_equal(
        _minimum(values, size), ndimage.minimum_filter(values, size, mode="nearest")
    )
    inside = slice(size, -size)
    expected = ndimage.white_tophat(values, size=(size, size), mode="nearest")
    np.testing.assert_array_equal(_white_top_hat(values, size)[inside, inside], expected[inside, inside])
    mask = values > 200
    np.testing.assert_array_equal(_maximum(mask, size), ndimage.binary_dilation(mask, np.ones((size, size))))
