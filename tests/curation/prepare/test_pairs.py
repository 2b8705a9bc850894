"""MedPix and ROCO: what becomes a pair, and that the pipeline reads it."""

import csv
import json
from pathlib import Path

import pytest

from medsam_exp.data.csv_pairs import CsvPairs
from tests.curation.prepare import miniatures
from tests.curation.prepare.miniatures import prepared, refused


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_medpix_becomes_one_table(tmp_path: Path) -> None:
    raw = miniatures.medpix(tmp_path / "raw")
    out = prepared("medpix", raw, tmp_path / "out")
    found = rows(out / "medpix_dataset.csv")
    assert list(found[0]) == ["filename", "Caption", "case", "modality", "location", "diagnosis"]
    assert [row["filename"] for row in found] == [f"images/MPX{n // 2}_synpic{n}.png" for n in (0, 2, 3)]
    assert found[0]["diagnosis"] == "Lung nodule"
    assert found[1]["Caption"] == "The prostate is enlarged, with several calcifications."
    assert (out / found[0]["filename"]).read_bytes() == (raw / found[0]["filename"]).read_bytes()
    summary_lines = json.loads((out / "prepared.json").read_text())
    assert summary_lines["notes"] == [
        "captions of fewer than 20 characters (--smallest-caption), left out: 1",
        "images that are not there: 1 (first: MPX9_synpic9)",
    ]


def test_medpix_is_read_with_its_cases_together(tmp_path: Path) -> None:
    out = prepared("medpix", miniatures.medpix(tmp_path / "raw"), tmp_path / "out")
    pairs = CsvPairs(str(out / "medpix_dataset.csv"), part="all", group_column="case")
    assert pairs.ids == ("images/MPX0_synpic0.png", "images/MPX1_synpic2.png", "images/MPX1_synpic3.png")


def test_medpix_reads_lines_of_json_where_there_is_no_whole_file(tmp_path: Path) -> None:
    raw = miniatures.medpix(tmp_path / "raw")
    whole = prepared("medpix", raw, tmp_path / "whole")
    text = (raw / "Description.json").read_text()
    (raw / "Description.json").unlink()
    lines = text.removeprefix("[").removesuffix("]").replace('}, {"Type"', '}\n{"Type"')
    (raw / "splitted_dataset").mkdir()
    (raw / "splitted_dataset/descriptions_train.jsonl").write_text(lines)
    out = prepared("medpix", raw, tmp_path / "out")
    assert rows(out / "medpix_dataset.csv") == rows(whole / "medpix_dataset.csv")


def test_medpix_that_is_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.medpix(tmp_path / "raw")
    (raw / "Description.json").write_text("<html>")
    assert "Description.json is no JSON" in refused(capsys, "medpix", raw, tmp_path / "out")


def test_medpix_without_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.medpix(tmp_path / "raw")
    for path in (raw / "images").iterdir():
        path.unlink()
    said = refused(capsys, "medpix", raw, tmp_path / "out")
    assert "no image of the 5 descriptions, such as images/" in said


def test_roco_becomes_a_table_for_each_split(tmp_path: Path) -> None:
    out = prepared("roco", miniatures.roco(tmp_path / "raw"), tmp_path / "out")
    found = rows(out / "train.csv")
    assert found[0] == {
        "filename": "images/PMC0_a-0.jpg",
        "Caption": "Chest radiograph number 0, with a nodule, see arrow.",
        "roco_id": "ROCO_00000",
        "article": "PMC0",
        "licence": "CC BY",
    }
    assert len(found) == len(rows(out / "val.csv")) == 3
    assert not (out / "images/PMC77_chart.jpg").exists()
    assert len(CsvPairs(str(out / "val.csv"), part="all").ids) == 3
    summary_lines = json.loads((out / "prepared.json").read_text())
    assert summary_lines["notes"] == ["left out, images that are not there: 2"]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [("open", {"CC BY"}), ("CC BY-NC-SA,no-cc code", {"CC BY-NC-SA", "NO-CC CODE"})],
)
def test_roco_keeps_the_licences_that_are_asked_for(tmp_path: Path, wanted: str, kept: set[str]) -> None:
    out = prepared("roco", miniatures.roco(tmp_path / "raw"), tmp_path / "out", "--licences", wanted)
    assert {row["licence"] for row in rows(out / "train.csv")} == kept


def test_roco_as_it_is_on_kaggle(tmp_path: Path) -> None:
    raw = miniatures.roco(tmp_path / "raw")
    for split, table in {"train": "traindata.csv", "validation": "valdata.csv"}.items():
        folder = raw / "data" / split / "radiology"
        names = [line.split(",")[:2] for line in (folder / "licences.txt").read_text().splitlines()[1:]]
        captions = dict(line.split("\t") for line in (folder / "captions.txt").read_text().splitlines())
        with (folder / table).open("w", newline="") as file:
            csv.writer(file).writerows([["id", "name", "caption"], *([n, i, captions[n]] for n, i in names)])
        (folder / "licences.txt").unlink()
        (folder / "captions.txt").unlink()
    out = prepared("roco", raw, tmp_path / "out")
    assert [row["roco_id"] for row in rows(out / "train.csv")] == ["ROCO_00000", "ROCO_00001", "ROCO_00002"]
    assert {row["licence"] for row in rows(out / "train.csv")} == {""}


def test_a_broken_image_is_named_or_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.roco(tmp_path / "raw")
    (raw / "data/train/radiology/images/PMC1_a-1.jpg").write_bytes(b"\xff\xd8half")
    assert "PMC1_a-1.jpg cannot be read as an image" in refused(capsys, "roco", raw, tmp_path / "a")
    out = prepared("roco", raw, tmp_path / "b", "--skip-faulty")
    assert [row["roco_id"] for row in rows(out / "train.csv")] == ["ROCO_00000", "ROCO_00002"]


def test_roco_of_the_second_version(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for split in ("train", "valid"):
        ids = [f"ROCOv2_2023_{split}_{n:06d}" for n in range(3)]
        for number, image_id in enumerate(ids[:2]):
            miniatures.save(raw / split / f"{image_id}.jpg", miniatures.scan(number))
        said = [f'{image_id},"CT of the abdomen, with a lesion."' for image_id in ids]
        (raw / f"{split}_captions.csv").write_text(
            "\n".join(["ID,Caption", *said, f"{ids[0]},CT, cut", f"{ids[0]},CT again of it"])
        )
    (raw / "license_information.csv").write_text(
        "ID,PMCID,Attribution,Link\nROCOv2_2023_train_000001,PMC7,CC BY-NC [a. n. other],x\ncut,PMC8\n"
    )
    out = prepared("roco", raw, tmp_path / "out")
    assert rows(out / "train.csv")[1] == {
        "filename": "images/ROCOv2_2023_train_000001.jpg",
        "Caption": "CT of the abdomen, with a lesion.",
        "roco_id": "ROCOv2_2023_train_000001",
        "article": "PMC7",
        "licence": "CC BY-NC",
    }
    assert len(rows(out / "train.csv")) == len(rows(out / "val.csv")) == 2
    summary_lines = json.loads((out / "prepared.json").read_text())
    assert summary_lines["notes"] == [
        "left out, images that are not there: 2",
        "left out, rows of a table with more or fewer fields than its header: 3",
        "left out, second captions of an image: 2",
    ]
