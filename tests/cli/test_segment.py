"""Images from the shell: what is written, what is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import command, refusal

main = command("segment")

FEW = ["saliency.steps=2", "saliency.noise_samples=1"]


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    paths = []
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 60, (40, 56), dtype=np.uint8)
        pixels[10:20, 10:30] += 150
        paths.append(tmp_path / f"s{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return [str(path) for path in paths]


def test_every_image_leaves_mask_map_overlay_and_record(
    images: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = [*images, "--text", "a bright square", *FEW, "--postprocess", "otsu", "--mask-filter", "largest"]
    assert main([*given, "--out", str(out)]) == 0
    for name in ("s0", "s1"):
        mask = Image.open(out / f"{name}_mask.png")
        assert mask.size == (56, 40)
        assert set(np.unique(np.asarray(mask))) <= {0, 255}
        assert Image.open(out / f"{name}_saliency.png").size == (56, 40)
        assert max(Image.open(out / f"{name}_overlay.png").size) == 1024
        record = json.loads((out / f"{name}.json").read_text())
        assert record["area_px"]["mask"] == np.count_nonzero(np.asarray(mask))
        assert "postprocess=otsu" in record["command"]
        assert "mask_filter=largest" in record["command"]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_one_bad_image_does_not_spoil_the_others(
    images: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(images[0]).write_text("no image")
    assert main([*images, "--text", "a square", *FEW, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert f"error: {images[0]}: {images[0]} cannot be read as an image" in said.err
    assert (tmp_path / "out" / "s1_mask.png").is_file()


def test_names_that_would_collide_and_no_image(
    images: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "s0.png"
    twin.write_bytes(Path(images[0]).read_bytes())
    both = ["segment", images[0], str(twin), "--text", "x"]
    assert "would both be written as s0" in refusal(capsys, both)
    assert "no image is named" in refusal(capsys, ["segment", "seed=1", "--text", "x"])


def test_help_lists_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "kmeans_released" in said
    assert "not a medical device" in said
