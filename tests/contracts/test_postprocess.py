"""Every choice of conf/postprocess binarises every kind of map: right shape, the same each time, inputs left alone."""

import numpy as np
import pytest

from medsam_exp.config.build import build
from medsam_exp.types import Mask, PostProcessor, RGBImage, SaliencyMap, UserError
from tests.compose import CONF, composed
from tests.contracts.shapes import SHAPES

CHOICES = sorted(path.stem for path in (CONF / "postprocess").glob("*.yaml"))


@pytest.fixture(params=CHOICES)
def postprocess(request: pytest.FixtureRequest) -> PostProcessor:
    try:
        return build(composed(f"postprocess={request.param}").postprocess)
    except UserError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))


def maps(shape: tuple[int, int]) -> dict[str, SaliencyMap]:
    height, width = shape
    y, x = np.mgrid[:height, :width]
    blob = np.exp(-(((y - 0.4 * height) / height) ** 2 + ((x - 0.6 * width) / width) ** 2) / 0.05)
    one = np.zeros(shape)
    one[height // 2, width // 3] = 1
    noise = np.random.default_rng(0).random(shape)
    named = {
        "zero": np.zeros(shape),
        "constant": np.full(shape, 0.4),
        "one": np.ones(shape),
        "a pixel": one,
        "two values": (x + y) % 2,
        "blob": (blob - blob.min()) / max(np.ptp(blob), 1e-9),
        "weak": blob * 0.01,
        "noise": noise,
    }
    shown = named if height * width < 1e5 else {"blob": named["blob"], "zero": named["zero"]}
    return {name: _locked(saliency_map.astype(np.float32)) for name, saliency_map in shown.items()}


def images(shape: tuple[int, int]) -> dict[str, RGBImage]:
    height, width = shape
    gray = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3))
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    black = np.zeros((height, width, 3), np.uint8)
    named = {"gray": gray, "colour": noise, "black": black, "turned": noise[::-1, ::-1]}
    shown = named if height * width < 1e5 else {"gray": gray}
    return {name: _locked(image) for name, image in shown.items()}


def _locked(array: np.ndarray) -> np.ndarray:
    """Writing to it would be an error."""
    array = array.view()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_map_becomes_a_mask(postprocess: PostProcessor, shape: tuple[int, int]) -> None:
    for name, saliency_map in maps(shape).items():
        for image in images(shape).values():
            before = saliency_map.tobytes(), image.tobytes()
            mask = postprocess(saliency_map, image)
            assert mask.dtype == np.bool_
            assert mask.shape == shape
            assert not mask.any() or name != "zero"
            assert np.array_equal(postprocess(saliency_map, image), mask)
            assert (saliency_map.tobytes(), image.tobytes()) == before


def test_what_stands_out_is_found(postprocess: PostProcessor) -> None:
    height, width = 60, 80
    y, x = np.mgrid[:height, :width]
    inside: Mask = np.hypot(y - 25, x - 50) < 12
    image = np.where(inside[..., None], 180, 60).repeat(3, -1).astype(np.uint8)
    mask = postprocess(np.where(inside, 0.9, 0.1).astype(np.float32), image)
    assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.9


def test_maps_do_not_remember_each_other(postprocess: PostProcessor) -> None:
    image = images((47, 21))["colour"]
    forward = {name: postprocess(saliency_map, image) for name, saliency_map in maps((47, 21)).items()}
    for name, saliency_map in reversed(maps((47, 21)).items()):
        assert np.array_equal(postprocess(saliency_map, image), forward[name])
