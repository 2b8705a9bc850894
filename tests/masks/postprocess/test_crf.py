"""The masks need pydensecrf, which is not part of the ordinary set-up; that its absence is said well does not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from medsam_exp.config.build import build
from medsam_exp.config.schema import check
from medsam_exp.masks.postprocess import crf as crf_module
from medsam_exp.masks.postprocess.crf import DenseCRF
from medsam_exp.types import Mask, RGBImage, SaliencyMap, UserError
from tests.compose import composed

RELEASED: dict[str, Any] = {
    "gaussian_sxy": 5,
    "gaussian_compat": 3,
    "bilateral_sxy": 5,
    "bilateral_srgb": 3,
    "bilateral_compat": 5,
    "tau": 1.05,
    "epsilon": 1e-8,
    "iterations": 1,
}
FIRST_VERSION = RELEASED | {"gaussian_sxy": 3, "bilateral_sxy": 60, "bilateral_srgb": 5}


@pytest.fixture
def crf() -> type[DenseCRF]:
    pytest.importorskip("pydensecrf.densecrf", reason="pydensecrf is not installed (make setup-crf)")
    return DenseCRF


def soft_edge(image_edge: int, height: int = 40, width: int = 60) -> tuple[SaliencyMap, RGBImage]:
    """Saliency that falls from left to right through 0.5 in the middle; an image with one edge elsewhere."""
    saliency_map = np.tile(np.linspace(0.6, 0.4, width, dtype=np.float32), (height, 1))
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :image_edge] = 200
    return saliency_map, image


@pytest.mark.parametrize("number", range(4))
def test_equals_released_masks(crf: type[DenseCRF], goldens: Path, number: int) -> None:
    with np.load(goldens / "postprocess.npz") as stored:
        saliency_map = stored[f"saliency_{number}"].astype(np.float32) / 255
        image = np.ascontiguousarray(stored[f"image_bgr_{number}"][..., ::-1])
        assert np.array_equal(crf(**RELEASED)(saliency_map, image), stored[f"crf_{number}"])


@pytest.mark.parametrize(("choice", "numbers"), [("crf", RELEASED), ("crf_v1", FIRST_VERSION)])
def test_configurations_hold_the_released_numbers(choice: str, numbers: dict[str, Any]) -> None:
    node = OmegaConf.to_container(composed(f"postprocess={choice}").postprocess)
    assert node == {"_target_": "medsam_exp.masks.postprocess.crf.DenseCRF", **numbers}


@pytest.mark.parametrize("edge", [24, 36])
def test_the_border_follows_the_images_edge(crf: type[DenseCRF], edge: int) -> None:
    saliency_map, image = soft_edge(edge)
    wide = crf(**FIRST_VERSION | {"iterations": 10})(saliency_map, image)
    expected = np.zeros_like(wide)
    expected[:, :edge] = True
    assert np.array_equal(wide, expected)
    # With the few pixels of reach of the second version it stays where saliency is 0.5.
    near = crf(**RELEASED)(saliency_map, image)
    assert (near != (saliency_map > 0.5)).mean() < 0.05


def test_without_neighbours_it_is_a_threshold_of_one_half(crf: type[DenseCRF]) -> None:
    generator = np.random.default_rng(0)
    saliency_map = generator.random((30, 50), np.float32)
    image = generator.integers(0, 256, (30, 50, 3), np.uint8)
    alone = crf(**RELEASED | {"gaussian_compat": 0, "bilateral_compat": 0})(saliency_map, image)
    assert np.array_equal(alone, saliency_map > 0.5)


def test_neighbours_remove_single_pixels(crf: type[DenseCRF]) -> None:
    saliency_map = np.full((40, 40), 0.3, np.float32)
    saliency_map[20, 20] = 0.7
    assert not crf(**RELEASED | {"iterations": 5})(saliency_map, np.zeros((40, 40, 3), np.uint8)).any()


def mean_field(saliency_map: SaliencyMap, image: RGBImage, numbers: dict[str, Any]) -> Mask:
    """The same energy with every pair of pixels summed exactly, one iteration."""
    height, width = saliency_map.shape
    p = np.stack([1 - saliency_map.ravel(), saliency_map.ravel()]).astype(np.float64)
    cost = -np.log(p + numbers["epsilon"]) / (numbers["tau"] / (1 + np.exp(-p)))
    places = np.indices((height, width)).reshape(2, -1).T.astype(np.float64)
    colours = image.reshape(-1, 3).astype(np.float64)
    share = np.exp(-cost) / np.exp(-cost).sum(0)
    messages = np.zeros_like(share)
    near = places / numbers["gaussian_sxy"]
    alike = np.hstack([places / numbers["bilateral_sxy"], colours / numbers["bilateral_srgb"]])
    for features, compat in ((near, numbers["gaussian_compat"]), (alike, numbers["bilateral_compat"])):
        kernel = np.exp(-0.5 * ((features[:, None] - features[None]) ** 2).sum(-1))
        scale = 1 / np.sqrt(kernel.sum(1))
        messages += compat * ((share * scale) @ kernel) * scale
    background, foreground = messages - cost
    return (foreground > background).reshape(height, width)


@pytest.mark.parametrize("numbers", [RELEASED, FIRST_VERSION], ids=["second version", "first version"])
def test_close_to_the_exact_mean_field(crf: type[DenseCRF], numbers: dict[str, Any]) -> None:
    """The library's filter is an approximation, so only nearly all pixels agree."""
    generator = np.random.default_rng(1)
    y, x = np.mgrid[:32, :40]
    disk = np.exp(-(((y - 15) ** 2 + (x - 18) ** 2) / 200))
    saliency_map = np.clip(disk + generator.normal(0, 0.1, disk.shape), 0, 1).astype(np.float32)
    image = np.where((np.hypot(y - 14, x - 20) < 11)[..., None], 150, 90).astype(np.uint8).repeat(3, -1)
    exact = mean_field(saliency_map, image, numbers)
    assert (exact != (saliency_map > 0.5)).mean() > 0.01
    assert (crf(**numbers)(saliency_map, image) != exact).mean() < 0.01


def test_edge_cases(crf: type[DenseCRF]) -> None:
    black = np.zeros((5, 7, 3), np.uint8)
    for constant in (0.0, 0.5, 1.0):
        assert not crf(**RELEASED)(np.full((5, 7), constant, np.float32), black).any()
    assert not crf(**RELEASED)(np.ones((1, 1), np.float32), black[:1, :1]).any()
    certain = np.zeros((5, 7), np.float32)
    certain[:, :3] = 1  # the logarithm of 0 is kept finite
    assert np.array_equal(crf(**RELEASED)(certain, black), certain == 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("gaussian_sxy", 0), ("bilateral_srgb", -1), ("epsilon", 0), ("tau", float("nan")), ("iterations", -1)],
)
def test_impossible_numbers_are_clear_errors(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"postprocess\.{name} is {value}"):
        DenseCRF(**RELEASED | {name: value})


@pytest.mark.parametrize("choice", ["crf", "crf_v1"])
def test_a_missing_library_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    monkeypatch.setattr(crf_module, "find_spec", lambda package: None)
    sentence = (
        r"needs the package pydensecrf, which is not installed: .*make setup-crf.*choose another postprocess"
    )
    with pytest.raises(UserError, match=sentence):
        build(composed(f"postprocess={choice}").postprocess)
    with pytest.raises(UserError, match=sentence) as caught:
        check(composed(f"postprocess={choice}"))
    assert "\n" not in str(caught.value)
    check(composed(f"postprocess={choice}", "stages=[saliency]"))  # who does not use it does not need it
