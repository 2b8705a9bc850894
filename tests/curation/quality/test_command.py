"""The command: its files, its memory, its exit codes, and that its lists do what they promise."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from medsam_exp.curation.quality.checks import Examination
from medsam_exp.curation.quality.data_check import print_examination
from medsam_exp.curation.quality.duplicates import Duplicates
from medsam_exp.curation.quality.facts import DatasetListing, Limits, MeasuredDataset
from medsam_exp.curation.quality.finding import Finding
from medsam_exp.curation.quality.layout import find_collection
from medsam_exp.curation.quality.measure import FactStore, measure_dataset
from medsam_exp.data.folder import FolderDataset
from medsam_exp.runtime.digests import FileDigests
from tests.clean_data import Clean, lesion, scan
from tests.command import command, refusal

main = command("data-check")


@pytest.fixture
def spoilt(clean: Clean) -> Clean:
    """A copy, a darker copy and a turned copy in the test split, and a copy of another class within train."""
    clean.put("test", "copy", scan(0), lesion(0), "benign")
    clean.put("test", "dark", scan(1) // 2, lesion(1), "malignant")
    clean.put("test", "turned", scan(2)[::-1], lesion(2)[::-1], "benign")
    clean.put("train", "other", scan(3), lesion(3), "benign")
    return clean


def check(root: Path, outputs: Path, *options: str) -> tuple[int, Path]:
    return main([str(root), "--outputs", str(outputs), *options]), outputs / "data_quality" / "data"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_and_table(spoilt, tmp_path, capsys):
    code, folder = check(spoilt.root, tmp_path / "out")
    assert code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "data_quality.html",
        "exclude.csv",
        "findings.csv",
        "findings.json",
        "groups.csv",
    ]
    found = rows(folder / "findings.csv")
    counts = Counter((row["severity"], row["kind"]) for row in found)
    assert counts == {
        ("error", "identical_across_splits"): 1,
        ("error", "near_across_splits"): 2,
        ("error", "identical_labels"): 1,
    }
    written = json.loads((folder / "findings.json").read_text())
    assert [each["message"] for each in written["findings"]] == [row["message"] for row in found]
    assert written["overview"]["images"] == 16
    said = capsys.readouterr().out
    assert "The same image in several splits" in said
    assert "data_quality.html" in said


def test_exit_codes(spoilt, clean, tmp_path, capsys):
    assert check(spoilt.root, tmp_path / "out", "--strict")[0] == 1
    (spoilt.root / "train_images" / "extra.txt").write_text("no image")
    here = ["--outputs", str(tmp_path)]
    assert "nowhere does not exist" in refusal(capsys, ["data-check", str(tmp_path / "nowhere"), *here])
    (tmp_path / "file").touch()
    for options in (
        ["--outputs", str(tmp_path / "file")],
        [*here, "--output", str(tmp_path / "file" / "page")],
    ):
        said = refusal(capsys, ["data-check", str(spoilt.root), *options])
        assert re.search(r"Not a directory.*choose other folders", said)
    assert main([str(spoilt.root), "--mask-values", "a"]) == 2
    assert "a is no list of whole numbers" in capsys.readouterr().err


def test_without_errors_strict_is_content(clean, tmp_path, capsys):
    assert check(clean.root, tmp_path / "out", "--strict")[0] == 0
    assert "nothing found" in capsys.readouterr().out


def test_what_is_proposed_leaves_the_test_split_whole_and_no_error(spoilt, tmp_path):
    _, folder = check(spoilt.root, tmp_path / "out")
    proposed = {(row["split"], row["name"]) for row in rows(folder / "exclude.csv")}
    assert proposed == {
        ("train", f"{stem}.png") for stem in ("case_00", "case_01", "case_02", "case_03", "other")
    }
    table = str(folder / "exclude.csv")
    train = FolderDataset("folder", str(spoilt.root), "train", index="index.csv", exclude=table)
    test = FolderDataset("folder", str(spoilt.root), "test", index="index.csv", exclude=table)
    assert [sample.id for sample in train.samples] == ["case_04", "case_05"]
    assert len(test.samples) == 6
    assert check(spoilt.root, tmp_path / "out", "--exclude", table, "--strict")[0] == 0


def test_groups_hold_copies_and_patients_together(spoilt, tmp_path):
    spoilt.put("val", "case_06", scan(6), lesion(6), group="patient_5")
    _, folder = check(spoilt.root, tmp_path / "out")
    groups = {f"{row['split']}/{row['name']}": row["group"] for row in rows(folder / "groups.csv")}
    assert len(groups) == 16
    together: dict[str, set[str]] = {}
    for name, group in groups.items():
        together.setdefault(group, set()).add(name.removesuffix(".png"))
    assert sorted(map(sorted, (names for names in together.values() if len(names) > 1))) == [
        ["test/copy", "train/case_00"],
        ["test/dark", "train/case_01"],
        ["test/turned", "train/case_02"],
        ["train/case_03", "train/other"],
        ["train/case_05", "val/case_06"],
    ]


def test_nothing_is_measured_twice(clean, tmp_path):
    def measured() -> int:
        store = FactStore(tmp_path / "facts", FileDigests())
        measure_dataset(find_collection(clean.root), store, Limits())
        return store.measured

    assert measured() == 12
    assert measured() == 0
    clean.put("val", "case_06", scan(6), lesion(7))
    assert measured() == 1
    clean.path("val", "images", "case_07").write_bytes(b"no image")
    assert (measured(), measured()) == (1, 1)  # what cannot be read is not remembered


@pytest.mark.parametrize(
    "damage", [lambda old: old[:-40], lambda old: old.replace(b'"highest": 1', b'"highest": 2')]
)
def test_a_damaged_memory_is_measured_anew(clean, tmp_path, damage):
    first = measure_dataset(
        find_collection(clean.root), FactStore(tmp_path / "facts", FileDigests()), Limits()
    )
    for path in (tmp_path / "facts").rglob("*.json"):
        before = path.read_bytes()
        path.write_bytes(damage(before))
        assert path.read_bytes() != before
    store = FactStore(tmp_path / "facts", FileDigests())
    assert measure_dataset(find_collection(clean.root), store, Limits()).facts == first.facts
    assert store.measured == 12


def test_remembered_facts_are_the_measured_ones(spoilt, tmp_path):
    fresh, again = (
        measure_dataset(find_collection(spoilt.root), FactStore(tmp_path / "facts", FileDigests()), Limits())
        for _ in "ab"
    )
    assert fresh.facts == again.facts


@pytest.mark.slow
def test_the_same_scan_of_two_classes_in_real_breast_images(shared_data, tmp_path):
    """BUSI's benign (406) and malignant (94) are one scan."""
    main([str(shared_data / "breast_tumors"), "--outputs", str(tmp_path)])
    found = rows(tmp_path / "data_quality" / "breast_tumors" / "findings.csv")
    labels = [(row["image"], row["others"]) for row in found if row["kind"] == "near_labels"]
    assert labels == [("train/benign_406", "train/malignant_94")]
    leaks = [(row["image"], row["others"]) for row in found if row["severity"] == "error"]
    assert leaks == [("train/benign_14", "val/benign_331")]
    counts = Counter(row["kind"] for row in found)
    assert 40 <= counts["words"] <= 46
    assert 36 <= counts["crosses"] <= 42


def test_names_with_brackets_are_printed_as_they_are(tmp_path, capsys):
    finding = Finding("identical_labels", ("scan[/b].png",), "two labels")
    nothing = MeasuredDataset(DatasetListing(tmp_path, "raw", ()), {})
    print_examination(Examination(nothing, Duplicates((), ()), (finding,)), tmp_path)
    assert "scan[/b].png" in capsys.readouterr().out
