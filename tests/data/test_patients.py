"""Which patient an image is of, and what is said where nobody knows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.curation.quality.layout import find_collection
from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.patients import clusters_of, patient_notes
from medsam_exp.types import UserError
from tests.data.volumes.synthetic import dicom_image

STEMS = ["pat01_1", "pat01_2", "pat02_1", "other"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "test_images").mkdir()
    for number, stem in enumerate(STEMS):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "test_images" / f"{stem}.png")
    return tmp_path


def patients(root: Path, **settings: Any) -> list[str | None]:
    found = FolderDataset("folder", str(root), "test", **settings).samples
    return [sample.patient for sample in sorted(found, key=lambda sample: sample.id)]


def index(root: Path, *rows: str, header: str = "name,split,class,group", name: str = "index.csv") -> None:
    (root / name).write_text("\n".join([header, *rows]) + "\n")


def test_without_a_word_no_patient_is_known(root: Path) -> None:
    assert patients(root) == [None] * 4


def test_the_bracket_of_a_pattern_is_the_patient_as_in_the_data_check(root: Path) -> None:
    assert patients(root, patient_pattern=r"^pat(\d+)_") == [None, "01", "01", "02"]
    assert patients(root, patient_pattern=r"^pat\d+") == [None, "pat01", "pat01", "pat02"]
    checked = {item.stem: item.group for item in find_collection(root, r"^pat(\d+)_").items}
    assert checked == {"other": "", "pat01_1": "01", "pat01_2": "01", "pat02_1": "02"}
    with pytest.raises(UserError, match=r"data\.patient_pattern '\(' is no regular expression"):
        patients(root, patient_pattern="(")


def test_prepared_data_say_it_in_their_index(root: Path) -> None:
    rows = ["pat01_1.png,test,,A", "pat01_2,test,,A", "pat02_1,test,,B", "other,test,,", "other,train,,C"]
    index(root, *rows)
    assert patients(root) == [None, "A", "A", "B"]
    assert patients(root, patient_column=None) == [None] * 4
    assert patients(root, patient_pattern=r"^pat(\d+)_") == [None, "01", "01", "02"]
    assert patients(root, patient_pattern="nobody") == [None, "A", "A", "B"]
    index(root, *rows, "pat01_1,test,,B")
    with pytest.raises(UserError, match="gives pat01_1 two patients, A and B: keep one"):
        patients(root)


def test_an_index_of_ones_own_without_splits_serves_all_of_them(root: Path) -> None:
    index(root, "pat01_1,A", "pat01_2,A", header="name,group")
    assert patients(root) == [None, "A", "A", None]


def test_a_column_that_is_asked_for_must_be_there(root: Path) -> None:
    index(root, "other,7", header="file,who", name="own.csv")
    given = {"index": "own.csv", "name_column": "file", "class_column": "who", "split_column": None}
    index(root, *(f"{stem},7" for stem in STEMS), header="file,who", name="own.csv")
    assert patients(root, **given) == [None] * 4
    assert patients(root, **given, patient_column="who") == ["7"] * 4
    with pytest.raises(UserError, match=r"own\.csv has no column 'patient'.*data\.patient_column"):
        patients(root, **given, patient_column="patient")
    with pytest.raises(
        UserError, match=r"index\.csv does not exist: set data\.index .* or data\.patient_column=null"
    ):
        patients(root, patient_column="patient")


@pytest.mark.parametrize("column", ["group", "Group"])
def test_columns_of_patients_are_found_by_their_usual_names_as_those_of_classes(
    root: Path, column: str
) -> None:
    header, given = f"FileName,Class,{column},Split", {"index": "labels.csv", "patient_column": "group"}
    index(root, *(f"{stem}.png,x,{stem[:5]},test" for stem in STEMS), header=header, name="labels.csv")
    assert patients(root, **given) == ["other", "pat01", "pat01", "pat02"]
    (root / "labels.csv").rename(root / "index.csv")
    assert [item.group for item in find_collection(root).items] == ["other", "pat01", "pat01", "pat02"]
    index(root, "pat01_1,A,test", header=f"scan,{column},split")
    with pytest.raises(UserError, match=r"index\.csv has no column 'name'.*data\.name_column"):
        patients(root)


def test_what_programs_write_for_a_missing_patient_is_none(root: Path) -> None:
    unknown = ("nan", "N/A", " ", "NaN")
    index(root, *(f"{stem},test,,{said}" for stem, said in zip(STEMS, unknown, strict=True)))
    assert patients(root) == [None] * 4
    assert {item.group for item in find_collection(root).items} == {""}


def test_dicom_headers_tell_patients_apart_and_stay_secret(tmp_path: Path) -> None:
    (tmp_path / "test_images").mkdir()
    said = {"a": {"PatientID": "Doe 4711"}, "b": {"PatientID": "Doe 4711"}, "c": {"PatientID": "Roe 12"}}
    for stem, study in (("d", "1.2.3"), ("e", "1.2.3"), ("f", "1.2.4")):
        said[stem] = {"PatientID": "", "PatientName": "", "StudyInstanceUID": study}
    for stem, elements in said.items():
        dicom_image(tmp_path / "test_images" / f"{stem}.dcm", np.eye(8, dtype=np.uint16) * 9, **elements)
    a, b, c, d, e, f = patients(tmp_path)
    assert a == b
    assert d == e
    assert sorted({a, c, d, f}) == ["p001", "p002", "p003", "p004"]
    assert patients(tmp_path, patient_pattern="^[a-f]$") == list("abcdef")


def test_every_class_of_an_image_has_its_patient(root: Path) -> None:
    found = FolderDataset("folder", str(root), "test", classes=["x", "y"], patient_pattern=r"^pat\d+").samples
    assert {(sample.image, sample.patient) for sample in found} == {
        ("other", None),
        ("pat01_1", "pat01"),
        ("pat01_2", "pat01"),
        ("pat02_1", "pat02"),
    }


def test_an_image_without_a_patient_is_one_of_its_own() -> None:
    assert clusters_of({"a": "p1", "b": None}) == {"a": "p1", "b": "image b"}
    assert clusters_of({"a": None, "b": None}) is None
    assert patient_notes({"a": "p1", "b": None}) == [
        "no patient is known of 1 images (first: b): each counts as a patient of its own"
    ]
    assert patient_notes({"a": "p1", "b": "p1"}) == [
        "2 images of 1 patients: a 95 % interval takes 6 patients"
    ]
    assert patient_notes({str(number): str(number // 2) for number in range(12)}) == []


@pytest.mark.parametrize("name", ["patient0{}2_slice_03{}", "volume-{}_4{}", "p00{}_ct01_001{}", "ID{}07_{}"])
def test_names_of_slices_without_a_patient_are_warned_of(name: str) -> None:
    (note,) = patient_notes({name.format(p, s): None for p in (1, 2) for s in range(3)})
    assert "look like slices of volumes" in note
    assert """'data.patient_pattern="^(.*\\d)\\D+\\d+$"'""" in note
    assert not patient_notes({name.format(p, s): None for p in (1, 2) for s in range(2)})


@pytest.mark.parametrize(
    "name", ["benign ({})", "case_00{}", "00000{}", "covid19_{}", "glioma_000{}", "phantom_2_{}"]
)
def test_names_of_single_images_are_not(name: str) -> None:
    assert patient_notes({name.format(number): None for number in range(9)}) == []


def test_the_suggested_pattern_finds_the_patients(root: Path) -> None:
    pattern = r"^(.*\d)\D+\d+$"
    for stem, patient in (("patient012_slice_034", "patient012"), ("volume-3_45", "volume-3")):
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(root / "test_images" / f"{stem}.png")
        found = FolderDataset("folder", str(root), "test", patient_pattern=pattern)
        assert {sample.id: sample.patient for sample in found.samples}[stem] == patient
