"""The released frame against its steps written out one by one."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

try:
    from transformers import CLIPImageProcessorPil
except ImportError:  # the first versions 5 have Pillow's under the one name
    from transformers import CLIPImageProcessor as CLIPImageProcessorPil

from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.saliency.geometry import Squash
from medsam_exp.saliency.m2ib_released import CentreCrop

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
# New length, place, pixel of 224: recorded from cv2.resize of OpenCV 5.0.
NEAREST = [(100, 25, 55), (288, 54, 41), (800, 525, 146)]
GEOMETRY = CentreCrop(Preprocess((56, 56), MEAN, STD))


@pytest.mark.parametrize("size", [(90, 171), (171, 90), (100, 100), (30, 41), (56, 56), (200, 57)])
def test_the_middle_of_an_image_goes_in(size: tuple[int, int]) -> None:
    smooth = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    image = np.asarray(Image.fromarray(smooth).resize(size[::-1], Image.Resampling.BICUBIC))
    scale = 56 / min(size)
    rows, columns = (56 if side == min(size) else int(side * scale) for side in size)
    large = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC))
    top, left = (rows - 56) // 2, (columns - 56) // 2
    expected = large[top : top + 56, left : left + 56] / 255.0
    pixels = GEOMETRY.preprocess(image).permute(1, 2, 0).numpy() * STD + MEAN
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


@pytest.mark.parametrize("size", [(90, 171), (173, 90), (30, 41), (200, 57)])
def test_the_middle_is_that_of_the_published_image_processor(size: tuple[int, int]) -> None:
    published = CLIPImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, image_mean=MEAN, image_std=STD
    )
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    expected = published(images=Image.fromarray(image), return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(GEOMETRY.preprocess(image).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(90, 171), (170, 90), (30, 41)])
def test_torchvision_is_at_most_a_pixel_aside(size: tuple[int, int]) -> None:
    """Its centre crop rounds half a pixel to the even side, where the published one rounds down."""
    image = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    theirs = np.asarray(Resize(56, InterpolationMode.BICUBIC)(Image.fromarray(image)))
    margins = [side - 56 for side in theirs.shape[:2]]
    cropped = np.asarray(CenterCrop(56)(Image.fromarray(theirs)))
    pixels = GEOMETRY.preprocess(image).permute(1, 2, 0).numpy() * STD + MEAN
    same = all(margin % 4 != 3 for margin in margins)
    assert (np.abs(pixels - cropped / 255).max() < 1e-6) == same
    top, left = (margin // 2 for margin in margins)
    np.testing.assert_allclose(pixels, theirs[top : top + 56, left : left + 56] / 255, atol=1e-6)


@pytest.mark.parametrize("size", [(90, 171), (171, 90), (56, 56), (20, 30), (1, 40)])
def test_the_map_goes_out_pixel_by_pixel(size: tuple[int, int]) -> None:
    grid = np.random.default_rng(1).normal(size=(4, 4))
    large = np.empty((56, 56))
    for i in range(56):
        for j in range(56):
            y, x = (min(max((k + 0.5) * 4 / 56 - 0.5, 0), 3) for k in (i, j))
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, 3), min(x0 + 1, 3)
            top = grid[y0, x0] * (1 - x + x0) + grid[y0, x1] * (x - x0)
            low = grid[y1, x0] * (1 - x + x0) + grid[y1, x1] * (x - x0)
            large[i, j] = top * (1 - y + y0) + low * (y - y0)
    large = (large - large.min()) / (large.max() - large.min())
    expected = np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            expected[i, j] = round(255 * large[int(i * 56 / size[0]), int(j * 56 / size[1])])
    saliency_map = GEOMETRY.to_original_frame(torch.from_numpy(grid), size)
    assert saliency_map.dtype == np.float32
    assert np.array_equal(np.rint(saliency_map * 255), expected)


@pytest.mark.parametrize(("new", "place", "taken"), NEAREST)
def test_the_stretch_rounds_as_opencv(new: int, place: int, taken: int) -> None:
    """At a pixel's edge OpenCV's rounding takes the one before."""
    geometry = CentreCrop(Preprocess((224, 224), MEAN, STD))
    ramp = torch.arange(14.0).repeat(14, 1)
    large = np.rint(geometry.to_original_frame(ramp, (224, 224))[0] * 255)
    stretched = np.rint(geometry.to_original_frame(ramp, (224, new))[0] * 255)
    assert place * 224 // new == taken + 1
    assert large[taken] != large[taken + 1]
    assert stretched[place] == large[taken]


def test_maps_of_wide_images_are_pulled_away_from_what_they_show() -> None:
    """A spot at 0.6 of a width twice the height is drawn at 0.5 + 2 x 0.1; squashing keeps it in place."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[45:55, 115:125] = 255

    def place(geometry: CentreCrop | Squash) -> float:
        brightness = geometry.preprocess(image).mean(0)
        patches = brightness.unflatten(0, (14, 4)).unflatten(2, (14, 4)).mean((1, 3))
        columns = np.nonzero(geometry.to_original_frame(patches, (100, 200)) > 0.5)[1]
        return float(columns.mean() + 0.5) / 200

    assert place(GEOMETRY) == pytest.approx(0.7, abs=0.02)
    assert place(Squash(GEOMETRY.clip_preprocess)) == pytest.approx(0.6, abs=0.02)


def test_a_very_long_strip_costs_no_memory() -> None:
    assert GEOMETRY.preprocess(np.zeros((1, 200_000, 3), np.uint8)).shape == (3, 56, 56)
