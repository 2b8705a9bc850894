import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from medsam_exp.metrics.overlap import dice
from medsam_exp.report.web.drawings import draw, outline
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.types import Mask, RGBImage


@pytest.mark.parametrize("size", [64, 700])
def test_an_outline_encloses_its_mask(size: int) -> None:
    ys, xs = np.mgrid[:size, :size] / size
    mask = (np.hypot(ys - 0.4, xs - 0.5) < 0.25) & ~(np.hypot(ys - 0.4, xs - 0.5) < 0.1)
    mask[:, : size // 8] = True  # touches the image's edge
    canvas = Image.new("1", (4 * size, 4 * size))
    pen = ImageDraw.Draw(canvas)
    for part in sorted(outline(mask).split("z")[:-1], key=len, reverse=True):
        flat = [4 * float(number) for number in part[1:].replace("M", " ").split()]
        points = list(zip(flat[::2], flat[1::2], strict=True))
        inner = all(np.hypot(y / 4 / size - 0.4, x / 4 / size - 0.5) < 0.15 for x, y in points)
        pen.polygon(points, fill=0 if inner else 1)
    drawn = np.asarray(canvas)[2::4, 2::4]
    assert dice(drawn, mask) > 0.98
    assert outline(np.zeros((5, 9), bool)) == ""


@pytest.mark.parametrize("corner", [(0, 0), (2, 3), (4, 8)])
def test_a_single_pixel_is_outlined_where_it_is(corner: tuple[int, int]) -> None:
    mask = np.zeros((5, 9), bool)
    mask[corner] = True
    flat = [float(number) for number in outline(mask)[1:-1].split()]
    xs, ys = flat[::2], flat[1::2]
    assert (np.mean([min(xs), max(xs)]), np.mean([min(ys), max(ys)])) == (corner[1] + 0.5, corner[0] + 0.5)
    assert max(xs) - min(xs) <= 1


def test_pictures_keep_their_shape_and_their_budget(tmp_path: Path) -> None:
    ids = [f"scan_{number}" for number in range(6)]
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (300, 600, 3), np.uint8)
    mask = np.zeros((300, 600), bool)
    mask[100:150, 200:320] = True
    stored = {
        stage: {"k": StageArtifacts(tmp_path, stage, "k", dict.fromkeys(ids, "0123456789ab"))}
        for stage in ("saliency", "coarse_mask", "sam_mask")
    }
    for name in ids:
        stored["saliency"]["k"].save(name, {}, mask.astype(np.float32))
        stored["coarse_mask"]["k"].save(name, {}, mask)
        prompts = {"boxes_xyxy": [[200, 100, 320, 150]], "point_coords": None, "point_labels": None}
        stored["sam_mask"]["k"].save(name, {"prompts": prompts}, ~np.ones_like(mask))

    def read(_: str) -> tuple[RGBImage, Mask | None]:
        return image, mask

    everything = draw(ids, read, stored, 10_000_000)
    assert list(everything.images) == ids
    assert not everything.remarks
    encoded = base64.b64decode(everything.images[ids[0]]["source"].partition(",")[2])
    assert Image.open(io.BytesIO(encoded)).size == (384, 192)
    assert everything.layers["sam_mask"]["k"][ids[0]] == ""
    assert [panel["name"] for panel in everything.panels] == [
        "image", "saliency", "coarse_mask", "prompts", "sam_mask", "truth",
    ]  # fmt: skip
    each = len(str(everything.images)) // 6
    some = draw(ids, read, stored, 3 * each)
    assert list(some.images) == ids[: len(some.images)]
    assert 2 <= len(some.images) < 6
    assert some.remarks == [f"{len(some.images)} of 6 images are shown"]
    unjudged = draw(ids[:1], lambda name: (image, None), {}, 10_000_000)
    assert [panel["name"] for panel in unjudged.panels] == ["image"]
