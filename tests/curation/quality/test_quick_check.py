"""What a run says when it first meets a folder of images, and that it never says more."""

import logging
import os
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from medsam_exp.curation.quality import quick_check
from medsam_exp.curation.quality.quick_check import find_leaks
from medsam_exp.data.folder import FolderDataset
from medsam_exp.runtime.digests import FileDigests
from tests.clean_data import lesion, scan


def split_of(root, exclude=None, foreground_values=None, patient_pattern=None) -> SimpleNamespace:
    """What a look must know of a split."""
    return SimpleNamespace(
        root=root, exclude=exclude, foreground_values=foreground_values, patient_pattern=patient_pattern
    )


@pytest.fixture
def look(tmp_path, caplog):
    """Look, and return what was said."""

    def once(root, **options) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            quick_check._check_once(split_of(root, **options), tmp_path / "artifacts", FileDigests())
        return [record.getMessage() for record in caplog.records]

    return once


def test_said_once_and_again_when_the_content_changes(clean, look):
    assert look(clean.root) == []
    clean.put("test", "copy", scan(0), lesion(0), "benign")
    first = "data check: error: the same image in test and train: 1 (first: test/copy)"
    said = look(clean.root)
    assert said[0] == first
    assert said[-1].endswith(f"medsam-exp data-check {clean.root}")
    assert look(clean.root) == [first], "a leak is said each time, the rest once"
    clean.put("val", "copy", scan(1), lesion(1), "malignant")
    both = [first, first.replace("test", "val").replace("val and train", "train and val")]
    both[1] = both[1].replace("val/copy", "train/case_01")
    assert look(clean.root)[:2] == both


def test_only_the_record_stays(clean, look, tmp_path):
    look(clean.root)
    (record,) = (tmp_path / "artifacts" / "data_quality" / "seen").iterdir()
    assert record.suffix == ".json"


def test_a_damaged_record_is_made_again(clean, look, tmp_path):
    """One of the right form too, as a bit that was flipped in a sentence leaves it."""
    clean.put("test", "copy", scan(0), lesion(0), "benign")
    said = look(clean.root)
    (record,) = (tmp_path / "artifacts" / "data_quality" / "seen").iterdir()
    whole = record.read_bytes()
    for damaged in (b"", whole[:40], b"\xff" * 60, b'{"leaks": []}', whole.replace(b"train", b"tsain")):
        record.write_bytes(damaged)
        assert look(clean.root) == said
        assert record.read_bytes() == whole


def test_notes_are_not_said(clean, look):
    mask = lesion(6)
    mask[2, 3] = 255
    clean.put("val", "case_06", scan(6), mask)
    assert look(clean.root) == []


def test_what_is_excluded_is_not_said(clean, look):
    clean.put("test", "copy", scan(0), lesion(0), "benign")
    (clean.root / "out.csv").write_text("name,split\ncase_00,train\n")
    assert look(clean.root, exclude="out.csv") == []
    assert look(clean.root, exclude=["copy"]) == []
    (clean.root / "out.csv").write_text("name,split\ncase_01,train\n")
    assert "in test and train" in look(clean.root, exclude="out.csv")[0]


@pytest.mark.parametrize("few", [5, 400])
def test_patients_in_names_are_compared(clean, look, monkeypatch, few):
    monkeypatch.setattr(quick_check, "_FEW", few)
    for number, split in ((31, "train"), (32, "test")):
        clean.put(split, f"ID9_{number:04}", scan(number), lesion(number))
    said = "data check: error: patients in test and train: 1 (first: test/ID9_0032)"
    assert said not in look(clean.root)
    lines = look(clean.root, patient_pattern=r"^(ID\d+)_")
    assert said in lines
    assert lines[-1].endswith(f"{clean.root} --group '^(ID\\d+)_'")


def test_a_run_hands_on_its_pattern_of_patients(clean, tmp_path, monkeypatch):
    for number, split in ((31, "train"), (32, "test")):
        clean.put(split, f"ID9_{number:04}", scan(number), lesion(number))
    dataset = FolderDataset("folder", str(clean.root), "test", patient_pattern=r"^(ID\d+)_")
    monkeypatch.setattr("medsam_exp.curation.quality.quick_check.datasets_of", lambda _: {"data": dataset})
    cfg = OmegaConf.create({"paths": {"artifacts": str(tmp_path / "artifacts")}})
    (leak,) = find_leaks(cfg, None, FileDigests())[clean.root]
    assert leak.splits == ("test", "train")


def test_values_of_label_masks(clean, look):
    clean.put("val", "case_06", scan(6), lesion(6) // 3 + lesion(7) // 4)
    assert "masks that cannot be used: 1" in look(clean.root)[0]
    assert look(clean.root, foreground_values=(63, 85, 148, 255)) == []


def test_a_large_dataset_is_compared_without_decoding(clean, look, monkeypatch):
    monkeypatch.setattr(quick_check, "_FEW", 5)
    monkeypatch.setattr(quick_check, "FactStore", None)  # would fail if used
    clean.put("test", "copy", scan(0), lesion(0), "benign")
    clean.put("test", "dark", scan(1) // 2, lesion(1), "malignant")
    clean.put("test", "case_20", scan(20), lesion(20), group="patient_3")
    said = look(clean.root)
    assert said[0] == "data check: error: the same image in test and train: 1 (first: test/copy)"
    assert said[1] == "data check: error: patients in test and train: 1 (first: test/case_20)"
    assert "15 images were compared by name and file only" in said[2]
    assert len(said) == 3
    monkeypatch.setattr(quick_check, "_MOST_BYTES", 10)
    clean.put("test", "case_21", scan(21), lesion(21))
    assert not any("the same image" in line for line in look(clean.root))


def test_nothing_stops_a_run(clean, look, tmp_path, monkeypatch):
    assert "could not be checked" in look(clean.root / "nowhere")[0]

    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(quick_check, "measure_dataset", fails)
    assert look(clean.root)[0].startswith(f"data check: {clean.root} could not be checked")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_stops_nothing(clean, look, tmp_path):
    (tmp_path / "artifacts").mkdir(mode=0o500)
    assert "could not be checked" in look(clean.root)[0]


def test_another_process_that_looks_is_waited_for_a_while(clean, look, tmp_path, monkeypatch):
    from filelock import FileLock

    clean.put("test", "copy", scan(0), lesion(0), "benign")
    name = quick_check._fingerprint(split_of(clean.root))
    lock = tmp_path / "artifacts" / "data_quality" / "seen" / f"{name}.lock"
    lock.parent.mkdir(parents=True)
    monkeypatch.setattr(quick_check, "_WAIT", 0.0)
    with FileLock(lock):
        assert ["still looks" in line for line in look(clean.root)] == [True]
    assert look(clean.root)
