"""LiteMedSAM's way into its input frame and back, against its published script's, step by step."""

import numpy as np
import pytest
import torch

from medsam_exp.sam.area import resized_by_area
from medsam_exp.sam.framing import LiteMedSamFraming
from tests.sam.references import bilinear

SIZES = [(90, 60), (60, 90), (64, 64), (128, 128), (200, 131), (1, 40), (20, 31), (3, 2), (70, 65)]


def by_area(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel: the mean over what a new pixel covers, old pixels weighted by their share of it."""
    result = np.zeros(size)
    height, width = (old / new for old, new in zip(plane.shape, size, strict=True))
    for i, j in np.ndindex(size):
        total = 0.0
        for y, x in np.ndindex(plane.shape):
            down = min((i + 1) * height, y + 1) - max(i * height, y)
            across = min((j + 1) * width, x + 1) - max(j * width, x)
            total += plane[y, x] * max(down, 0) * max(across, 0)
        result[i, j] = total / (height * width)
    return result


@pytest.mark.parametrize(
    ("old", "new"), [((9, 12), (4, 5)), ((8, 6), (8, 6)), ((15, 4), (5, 1)), ((7, 7), (3, 3))]
)
def test_smaller_images_are_means_over_areas(old: tuple[int, int], new: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*old, 3), np.uint8)
    ours = resized_by_area(image, new)
    for channel in range(3):
        expected = by_area(image[..., channel].astype(float), new)
        np.testing.assert_allclose(ours[..., channel], expected, atol=0.5 + 1e-9)


def gray(*rows: list[int]) -> np.ndarray:
    return np.stack([np.array(rows, np.uint8)] * 3, axis=-1)


def test_opencvs_own_numbers() -> None:
    """What cv2.resize(..., interpolation=cv2.INTER_AREA) of OpenCV 5.0 gave; it rounds its weights for larger ones."""
    larger = resized_by_area(gray([0, 255, 10], [90, 33, 7]), (3, 5))
    opencvs = gray([0, 85, 255, 92, 10], [45, 78, 144, 54, 9], [90, 71, 33, 16, 7])
    np.testing.assert_allclose(larger.astype(int), opencvs.astype(int), atol=1)
    halves = resized_by_area(gray([0, 1, 3, 4], [0, 1, 4, 3]), (1, 2))  # 0.5 and 3.5
    assert halves.tolist() == gray([1, 4]).tolist()


@pytest.mark.parametrize("size", SIZES)
def test_preprocess_follows_the_published_script(size: tuple[int, int]) -> None:
    image = np.random.default_rng(sum(size)).integers(40, 201, (*size, 3), np.uint8)
    ours = LiteMedSamFraming(64).preprocess(image).permute(1, 2, 0).numpy()
    scale = 64 / max(size)
    height, width = (int(side * scale + 0.5) for side in size)
    resized = resized_by_area(image, (height, width)).astype(float)
    expected = np.zeros((64, 64, 3))
    expected[:height, :width] = (resized - resized.min()) / max(resized.max() - resized.min(), 1e-8)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert ours.dtype == np.float32


def test_a_flat_image_is_all_zero() -> None:
    assert not LiteMedSamFraming(64).preprocess(np.full((30, 20, 3), 77, np.uint8)).any()


def test_boxes_are_cut_to_whole_pixels_at_the_scale_of_the_longer_side() -> None:
    box = np.array([[[33.9, 10], [299, 200]]], np.float32)
    assert LiteMedSamFraming(256).to_input(box, (200, 300)).tolist() == [[[28, 8], [255, 170]]]


@pytest.mark.parametrize("size", [(40, 31), (1, 20), (64, 64)])
def test_logits_are_cropped_and_enlarged_once(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    low_res = torch.randn(1, 2, 32, 32)
    ours = LiteMedSamFraming(32).to_original(low_res, size)
    scale = 32 / max(size)
    height, width = (int(side * scale + 0.5) for side in size)
    for m in range(2):
        expected = bilinear(low_res[0, m, :height, :width].double().numpy(), size)
        np.testing.assert_allclose(ours[0, m].numpy(), expected, atol=1e-5)
