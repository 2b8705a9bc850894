"""The same image, text and choices give the same mask, byte for byte, whichever way they are asked."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp import Pipeline
from medsam_exp.cli.interactive.correction import Correction
from medsam_exp.cli.interactive.session import Session
from medsam_exp.cli.main import main
from medsam_exp.cli.runner import run
from tests.cli.interactive.conftest import TEXT
from tests.compose import composed


def by_run(folder: Path, *overrides: str) -> bytes:
    run_dir = folder / "run"
    run_dir.mkdir(parents=True)
    run(composed(*overrides, f"paths.outputs={folder}"), run_dir, {}, list(overrides))
    assert json.loads((run_dir / "summary.json").read_text())
    return (run_dir / "masks" / "scan.png").read_bytes()


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"saliency": "gradcam", "prompt": "both"}, id="other methods", marks=pytest.mark.slow),
    ],
)
def test_every_way_in_gives_the_same_mask(choices: dict[str, str], scan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    image = shutil.copy(scan, folder / "scan.png")
    Image.fromarray(np.asarray(Image.open(scan))[::-1]).save(folder / "another.png")
    typed = [f"{group}={choice}" for group, choice in choices.items()]
    text = f"text.text={TEXT}"
    masks = {
        "data=folder": by_run(
            tmp_path / "a", "data=folder", f"data.root={folder}", "text=free", text, *typed
        ),
        "data=image": by_run(tmp_path / "b", "data=image", f"data.path={image}", "text=free", text, *typed),
    }
    options = [word for group, choice in choices.items() for word in (f"--{group}", choice)]
    assert main(["segment", "-i", str(folder), "-o", str(tmp_path / "c"), "--text", TEXT, *options]) == 0
    masks["segment"] = (tmp_path / "c" / "masks" / "scan.png").read_bytes()
    with Session() as session:
        answer = session.segment(image, TEXT, choices)
    with Pipeline(**choices) as pipeline:
        python = pipeline(np.asarray(Image.open(image)), TEXT, name="scan")
    assert answer.mask.any(), "an empty mask shows nothing"
    assert len(set(masks.values())) == 1, "one mask, byte for byte"
    stored = np.asarray(Image.open(tmp_path / "c" / "masks" / "scan.png")) > 0
    assert np.array_equal(answer.mask, stored)
    assert np.array_equal(python.mask, stored)
    assert np.array_equal(python.saliency_map, answer.saliency_map)
    assert python.plot().axes


def test_a_correction_from_python_is_that_of_a_session(scan: Path) -> None:
    choices = {"saliency": "patch_text"}
    box = (120, 70, 190, 140)
    with Session() as session, Pipeline(**choices) as pipeline:
        expected = session.correct(session.segment(scan, TEXT, choices), Correction(box=box))
        found = pipeline.correct(pipeline(scan, TEXT), box=box)
    assert found.mask.any()
    assert np.array_equal(found.mask, expected.mask)
    assert found.prompts.boxes_xyxy.tolist() == [list(map(float, box))]
