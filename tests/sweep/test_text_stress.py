"""The table of texts under stress: paired with the first text, for each value of other axes, against plain loops."""

import csv
import json
import re
from collections.abc import Mapping
from math import hypot
from pathlib import Path
from statistics import fmean

import pytest

from medsam_exp.sweep.collect import collect
from medsam_exp.sweep.read import read_sweep
from medsam_exp.sweep.sheets import Sheet
from medsam_exp.sweep.text_stress import text_stress_sheet

from .conftest import IMAGES, make_sweep

AXES = {"text": ["description", "stress_misspelt", "class_name"], "data.seed": ["1", "2"], "seed": ["0", "1"]}
SHIFT = {"description": 0.0, "stress_misspelt": 3.0, "class_name": 6.0}


def told(folder: Path, **changes: Mapping[str, float]) -> Path:
    """A sweep whose runs say where peaks lie, and how present the target is; every fourth misspelt mask is empty."""
    for path in folder.glob("*/per_image.csv"):
        text = json.loads((path.parent / "summary.json").read_text())["choices"].get("text", "")
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for number, row in enumerate(rows):
            place = IMAGES.index(row["id"])
            row |= {"peak_x": "", "peak_y": "", "probability": ""}
            if row["stage"] == "saliency":
                row |= {
                    "peak_x": str(place + SHIFT.get(text, 0)),
                    "peak_y": str(2 * place + SHIFT.get(text, 0)),
                }
            elif text == "stress_misspelt" and row["stage"] == "sam" and place % 4 == 0:
                row["presence"] = "0.0"
            rows[number] = row
        present = {"text": "", "stage": "presence", "probability": "0.25"}
        rows += [dict.fromkeys(rows[0], "") | {"id": name, **present} for name in IMAGES]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return told(make_sweep(tmp_path_factory.mktemp("texts") / "sweep", AXES))


@pytest.fixture(scope="module")
def sheet(folder: Path) -> Sheet:
    found = text_stress_sheet(read_sweep([folder]))
    assert found is not None
    return found


def scores(folder: Path, text: str, seed_of_data: str) -> list[float]:
    """SAM's DSC of each image, the mean over two seeds; by reading files alone."""
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    own = [
        job
        for job in jobs
        if (job["overrides"]["text"], job["overrides"]["data.seed"]) == (text, seed_of_data)
    ]
    found: dict[str, list[float]] = {}
    for job in own:
        with (folder / job["folder"] / "per_image.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                if row["stage"] == "sam":
                    found.setdefault(row["id"], []).append(float(row["dsc"]))
    return [fmean(found[name]) for name in sorted(found)]


def test_rows_and_columns(sheet: Sheet) -> None:
    assert sheet.header == (
        "data.seed", "text",
        "Coarse mask, DSC ↑", "difference", "SAM mask, DSC ↑", "difference",
        "empty", "moved (px)", "presence",
    )  # fmt: skip
    assert sheet.labels == 2
    assert [tuple(item.text for item in line[:2]) for line in sheet.lines] == [
        (seed, text) for seed in AXES["data.seed"] for text in AXES["text"]
    ]


def test_each_text_is_compared_with_the_first_on_the_same_images(sheet: Sheet, folder: Path) -> None:
    assert re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", sheet.lines[0][4].text)
    for line in sheet.lines:
        seed, text = (item.text for item in line[:2])
        own, first = scores(folder, text, seed), scores(folder, "description", seed)
        assert line[4].value == pytest.approx(fmean(own))
        if text == "description":
            assert line[5].text == "reference"
        else:
            assert line[5].value == pytest.approx(fmean(a - b for a, b in zip(own, first, strict=True)))


def test_empty_masks_moved_maps_and_presence(sheet: Sheet) -> None:
    for line in sheet.lines:
        text = line[1].text
        assert line[-3].value == pytest.approx(0.25 if text == "stress_misspelt" else 0.0)
        assert line[-2].value == pytest.approx(hypot(SHIFT[text], SHIFT[text]))
        assert line[-1].value == pytest.approx(0.25)


def test_the_collection_shows_it_first(folder: Path, tmp_path: Path) -> None:
    collected = collect([folder], tmp_path)
    assert (collected.main, next(iter(collected.sheets))) == ("text_stress", "text_stress")
    assert (tmp_path / "pivots" / "text_stress.md").is_file()
    assert "Texts under stress" in (tmp_path / "report.html").read_text()
    assert collect([folder], tmp_path / "sam", stage="sam").main != "text_stress"


def test_other_sweeps_have_no_such_table(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"text": ["description", "class_name"]})
    assert text_stress_sheet(read_sweep([folder])) is None
    assert collect([folder], tmp_path / "out").main == "sam_dsc"


def test_what_runs_do_not_say_is_a_dash(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"text": ["description", "stress_misspelt"]}, failed={0: "died"})
    found = text_stress_sheet(read_sweep([folder]))
    assert found is not None
    (line,) = found.lines
    assert [line[index].text for index in (0, -2, -1)] == ["stress_misspelt", "–", "–"]
