"""Whole runs with several classes per image, and with an ensemble of sentences per subtype."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.runner import run
from tests.compose import composed
from tests.stored import stored, stored_ids

RANDOM = (
    "clip=tiny_random",
    "sam=tiny_scratch",
    "saliency.steps=2",
    "saliency.noise_samples=1",
    "report_cases=1",
)


def results(folder: Path, *overrides: str) -> tuple[dict, list[dict[str, str]], Path]:
    """Run; return the summary, the rows of per_image.csv and the run's folder."""
    run_dir = folder / f"run{len(list(folder.glob('run*')))}"
    run_dir.mkdir()
    run(composed(*RANDOM, f"paths.outputs={folder}", *overrides), run_dir, {}, list(overrides))
    with (run_dir / "per_image.csv").open() as file:
        return json.loads((run_dir / "summary.json").read_text()), list(csv.DictReader(file)), run_dir


@pytest.fixture
def two_squares(tmp_path: Path) -> Path:
    """Three gray images with a bright square (1) and a dark one (2); the last lacks the dark one."""
    root = tmp_path / "squares"
    for kind in ("test_images", "test_masks"):
        (root / kind).mkdir(parents=True)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(90, 130, (40, 56), dtype=np.uint8)
        labels = np.zeros((40, 56), np.uint8)
        labels[5:15, 8 + number : 20 + number] = 1
        if number < 2:
            labels[25:35, 30:42] = 2
        pixels[labels == 1], pixels[labels == 2] = 240, 10
        Image.fromarray(pixels).save(root / "test_images" / f"s{number}.png")
        Image.fromarray(labels).save(root / "test_masks" / f"s{number}.png")
    return root


def test_a_folder_of_two_classes_end_to_end(tmp_path: Path, two_squares: Path) -> None:
    options = [
        "data=folder",
        f"data.root={two_squares}",
        "data.classes={bright_square: [1], dark_square: [2]}",
        "text=subtype_name",
    ]
    summary, rows, run_dir = results(tmp_path, *options)
    ids = {f"s{number}@{name}" for number in range(3) for name in ("bright_square", "dark_square")}
    assert {row["id"] for row in rows} == ids
    assert all(row["image_id"] == row["id"].partition("@")[0] for row in rows)
    assert {row["text"] for row in rows if row["id"].endswith("@dark_square")} == {"dark square"}
    assert {path.stem for path in (run_dir / "masks").glob("*.png")} == ids
    of_image = [
        np.mean(
            [float(row["dsc"]) for row in rows if row["stage"] == "sam" and row["image_id"] == f"s{number}"]
        )
        for number in range(3)
    ]
    assert summary["metrics"]["sam/dsc"]["n"] == 3, "the classes of an image are not independent"
    assert summary["metrics"]["sam/dsc"]["mean"] == pytest.approx(np.mean(of_image), abs=1e-6)
    assert summary["metrics"]["sam/dsc"]["std"] == pytest.approx(np.std(of_image, ddof=1), abs=1e-6)
    assert summary["notes"] == [
        "dark_square is absent from 1 of 3 images: their true mask is empty",
        "an image that was asked for several classes counts once, by the mean of its scores",
    ]
    assert not any(use.startswith("text:") for use in summary["ground_truth_used_for"])
    assert (run_dir / "report.html").is_file()

    truths = {1: "bright_square", 2: "dark_square"}
    dsc = {row["id"]: float(row["dsc"]) for row in rows if row["stage"] == "sam"}
    for number in range(3):
        labels = np.asarray(Image.open(two_squares / "test_masks" / f"s{number}.png"))
        for value, name in truths.items():
            mask = np.asarray(Image.open(run_dir / "masks" / f"s{number}@{name}.png")) > 0
            both = mask.sum() + (labels == value).sum()
            expected = 2 * (mask & (labels == value)).sum() / both if both else 1.0
            assert dsc[f"s{number}@{name}"] == pytest.approx(expected, abs=1e-6)

    again, _, _ = results(tmp_path, *options)
    assert all(row["images"] == 0 for row in again["timing"].values())
    dropped, rows, _ = results(tmp_path, *options, "data.absent=drop")
    assert {row["id"] for row in rows} == ids - {"s2@dark_square"}
    assert all(row["images"] == 0 for row in dropped["timing"].values())
    uses = dropped["ground_truth_used_for"]
    assert any(use.startswith("text: oracle, each text says the true class") for use in uses)
    assert (
        "data: masks decide which classes of an image are samples (data.absent=drop) (folder, test)" in uses
    )
    assert uses[-1] == "data checks: faults of masks (folder, every split)"


def test_the_two_classes_of_an_image_get_maps_of_their_own(tmp_path: Path, two_squares: Path) -> None:
    options = ["data=folder", f"data.root={two_squares}", "text=subtype_name", "stages=[saliency]"]
    summary, _, _ = results(tmp_path, *options, "data.classes={bright_square: [1], dark_square: [2]}")
    key = summary["keys"]["saliency"]
    folder = tmp_path / "artifacts" / "saliency" / key
    grids = {name: stored(folder).features(name) for name in stored_ids(folder)}
    assert len(grids) == 6
    assert not np.array_equal(grids["s0@bright_square"], grids["s0@dark_square"])


def test_an_ensemble_of_twenty_sentences_per_subtype_on_drawn_scans(tmp_path: Path) -> None:
    summary, rows, _ = results(tmp_path, "data=phantom_classes", "data.count=2", "text=ensemble_subtype")
    assert len({row["id"] for row in rows}) == 4
    texts = {row["id"]: row["text"].split(" | ") for row in rows}
    assert {len(own) for own in texts.values()} == {20}
    assert len({tuple(own) for own in texts.values()}) > 1
    assert summary["metrics"]["sam/dsc"]["n"] == 2
    assert any(use.startswith("text:") for use in summary["ground_truth_used_for"])


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("class_name", False),
        ("subtype_name", True),
        ("generic", False),
        ("subtype", True),
        ("ensemble_generic", False),
    ],
)
def test_the_summary_says_whether_classes_chose_the_text(tmp_path: Path, text: str, labels: bool) -> None:
    summary, _, _ = results(tmp_path, "data.count=1", f"text={text}", "stages=[saliency]")
    assert any(use.startswith("text:") for use in summary["ground_truth_used_for"]) is labels
