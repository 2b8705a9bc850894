"""Every preparer on a drawn miniature of its download: pixels, classes, groups, splits, and what it refuses."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.curation.prepare.datasets.brain_mri import _to_eight_bits
from medsam_exp.data.folder import FolderDataset
from tests.curation.prepare import miniatures
from tests.curation.prepare.miniatures import blob, by_split, index, prepared, refused, scan


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def notes(out: Path) -> list[str]:
    summary_lines = json.loads((out / "prepared.json").read_text())
    return list(summary_lines["notes"])


def test_busi_merges_masks_and_drops_normals(tmp_path: Path) -> None:
    out = prepared("busi", miniatures.busi(tmp_path / "raw"), tmp_path / "out", "--split", "train=1")
    assert sorted(index(out)) == [
        *(f"benign_{n}" for n in range(1, 7)),
        *(f"malignant_{n}" for n in range(1, 5)),
    ]
    assert (pixels(out / "train_images/benign_5.png") == scan(5)).all()
    assert ((pixels(out / "train_masks/benign_2.png") > 0) == (blob(2) | blob(7))).all()
    assert index(out)["malignant_1"]["class"] == "malignant"
    assert "images without a lesion, dropped: 2" in notes(out)
    assert "images with several masks, merged: 1" in notes(out)


def test_busi_keeps_normals_with_empty_masks(tmp_path: Path) -> None:
    raw = miniatures.busi(tmp_path / "raw")
    out = prepared("busi", raw, tmp_path / "out", "--normals", "keep", "--split", "test=1")
    assert index(out)["normal_2"]["class"] == "normal"
    assert not pixels(out / "test_masks/normal_2.png").any()


@pytest.mark.parametrize("seed", range(6))
def test_busi_keeps_near_duplicates_together_and_says_that_classes_differ(tmp_path: Path, seed: int) -> None:
    raw = miniatures.busi(tmp_path / "raw", benign=9)
    out = prepared("busi", raw, tmp_path / "out", "--split", "train=50%,test=50%", "--seed", seed)
    rows = index(out)
    assert rows["benign_3"]["group"] == rows["malignant_4"]["group"] == "benign_3"
    assert rows["benign_3"]["split"] == rows["malignant_4"]["split"]
    assert rows["benign_1"]["group"] == ""
    assert "nearly the same image, with different classes: benign (3), malignant (4)" in notes(out)


@pytest.mark.parametrize("seed", range(4))
def test_busi_keeps_listed_groups_together_as_well(tmp_path: Path, seed: int) -> None:
    raw = miniatures.busi(tmp_path / "raw", benign=9)
    table = tmp_path / "groups.csv"
    table.write_text(
        "name,split,group\nbenign (3).png,,x\nbenign_8,,x\nmalignant (1).png,,y\nbenign (1).png,,y\n"
    )
    out = prepared(
        "busi", raw, tmp_path / "out", "--split", "train=50%,test=50%", "--seed", seed, "--groups", table
    )
    rows = index(out)
    assert rows["benign_3"]["group"] == rows["malignant_4"]["group"] == rows["benign_8"]["group"]
    assert len({rows[name]["split"] for name in ("benign_3", "malignant_4", "benign_8")}) == 1
    assert rows["malignant_1"]["split"] == rows["benign_1"]["split"]


def test_groups_of_other_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "groups.csv").write_text("name,group\nknee.png,x\n")
    raw = miniatures.busi(tmp_path / "raw")
    said = refused(capsys, "busi", raw, tmp_path / "out", "--groups", tmp_path / "groups.csv")
    assert "groups.csv names none of BUSI's images" in said


def test_busi_with_udiat_is_the_papers_combination(tmp_path: Path) -> None:
    raw, other = miniatures.busi(tmp_path / "raw"), miniatures.udiat(tmp_path / "udiat")
    out = prepared("busi", raw, tmp_path / "out", "--udiat", other, "--udiat-split", "val=3,test=rest")
    rows = index(out)
    assert {name.split("_")[0] for name in by_split(rows, "train")} == {"benign", "malignant"}
    assert len(by_split(rows, "val")) == 3
    assert len(by_split(rows, "test")) == 6
    assert sorted(rows[name]["class"] for name in by_split(rows, "val")) == ["benign", "benign", "malignant"]
    dataset = FolderDataset("busi", str(out), "test", class_pattern="benign|malignant")
    assert {sample.class_name for sample in dataset.samples} == {"benign", "malignant"}
    assert all(sample.id.startswith("udiat_") for sample in dataset.samples)


def test_udiat_needs_fifty_images_to_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "udiat", miniatures.udiat(tmp_path / "raw"), tmp_path / "out")
    assert "asks for 50 images, there are 9" in said


@pytest.mark.parametrize("told", ["table", "lists", "folders", "nothing"])
def test_udiat_takes_classes_from_wherever_they_are(tmp_path: Path, told: str) -> None:
    raw = miniatures.udiat(tmp_path / "raw")
    if told != "table":
        (raw / "DatasetB.xlsx").unlink()
    if told == "lists":
        (raw / "benign.txt").write_text("000001.png\n000002\n4\n5\n7\n8\n")
        (raw / "Malignant list.txt").write_text("000003 000006 000009")
    if told == "folders":
        for path in sorted(raw.glob("*/*.png")):
            folder = path.parent / ("malignant" if int(path.stem) % 3 == 0 else "benign")
            folder.mkdir(exist_ok=True)
            path.rename(folder / path.name)
    out = prepared("udiat", raw, tmp_path / "out", "--split", "val=2,test=rest")
    classes = {row["class"] for row in index(out).values()}
    if told == "nothing":
        assert classes == {""}
        assert "images of UDIAT without a class: 9" in notes(out)[0]
    else:
        assert {name: row["class"] for name, row in index(out).items()} == {
            f"udiat_{'malignant' if n % 3 == 0 else 'benign'}_{n:06d}": "malignant"
            if n % 3 == 0
            else "benign"
            for n in range(1, 10)
        }


def test_brain_slices_stand_upright_with_class_patient_and_spacing(tmp_path: Path) -> None:
    raw = miniatures.brain(tmp_path / "raw")
    out = prepared("brain_mri", raw, tmp_path / "out", "--partial", "--percentiles", "0,100")
    rows = index(out)
    assert rows["glioma_0004"]["group"] == "MR01A"
    assert rows["glioma_0004"]["class"] == "glioma"
    assert "spacing_row_mm" not in rows["glioma_0004"]  # no slice has the published matrix
    split = rows["glioma_0004"]["split"]
    stored = pixels(out / f"{split}_images/glioma_0004.png").astype(float)
    original = scan(704).astype(float)
    assert stored.shape == (24, 32)
    expected = np.rint((original - original.min()) * 255 / (original.max() - original.min()))
    assert np.abs(stored - expected).max() == 0
    assert ((pixels(out / f"{split}_masks/glioma_0004.png") > 0) == blob(704)).all()


def test_brain_pixels_have_a_size_in_the_published_matrix(tmp_path: Path) -> None:
    mask = np.zeros((512, 512), bool)
    mask[3, 4] = True
    miniatures.write_mat(
        tmp_path / "raw/9.mat", np.zeros((512, 512), np.int16), mask, 3, "100360", number=True
    )
    out = prepared("brain_mri", tmp_path / "raw", tmp_path / "out", "--partial", "--split", "test=1")
    row = index(out)["pituitary_0009"]
    assert (row["spacing_row_mm"], row["spacing_column_mm"], row["group"]) == ("0.49", "0.49", "100360")


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_on_two_sides(tmp_path: Path, seed: int) -> None:
    raw = miniatures.brain(tmp_path / "raw", patients=9)
    out = prepared("brain_mri", raw, tmp_path / "out", "--partial", "--seed", seed)
    sides = defaultdict(set)
    for row in index(out).values():
        sides[row["group"]].add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert set().union(*sides.values()) == {"train", "val", "test"}


def test_brain_folds_of_the_publishers(tmp_path: Path) -> None:
    out = prepared(
        "brain_mri", miniatures.brain(tmp_path / "raw"), tmp_path / "out", "--partial", "--test-fold", 5
    )
    rows = index(out)
    assert {rows[name]["group"] for name in by_split(rows, "test")} == {"MR04A"}
    assert {rows[name]["group"] for name in by_split(rows, "val")} == {"MR00A", "MR05A"}


def test_brain_parts_that_are_missing_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "brain_mri", miniatures.brain(tmp_path / "raw"), tmp_path / "out")
    assert "has 18 of 3064 slices; 19.mat and others are missing" in said
    assert "brainTumorDataPublic_1-766, _767-1532, _1533-2298, _2299-3064.zip" in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"MATLAB 5.0"), "5.mat holds no cjdata of this dataset"),
        (lambda path: miniatures.write_mat(path, scan(1), blob(1), 7, "P"), "5.mat has the label 7"),
    ],
)
def test_brain_files_that_are_no_slices(tmp_path, capsys, spoil, said) -> None:  # type: ignore[no-untyped-def]
    raw = miniatures.brain(tmp_path / "raw")
    spoil(raw / "5.mat")
    assert said in refused(capsys, "brain_mri", raw, tmp_path / "out", "--partial")
    out = prepared("brain_mri", raw, tmp_path / "out2", "--partial", "--skip-faulty")
    assert len(index(out)) == 17
    assert said in notes(out)[0]


def test_percentiles_leave_single_bright_pixels_alone() -> None:
    image = np.tile(np.arange(100, dtype=np.int16), (100, 1))
    image[0, 0] = 30000
    plain, robust = _to_eight_bits(image, 0, 100), _to_eight_bits(image, 0.1, 99.9)
    assert plain[5, 99] <= 1
    assert robust[5, 99] == 255
    assert (np.diff(robust[5].astype(int)) >= 0).all()
    assert not _to_eight_bits(np.full((4, 4), 7, np.int16), 0.1, 99.9).any()


@pytest.mark.parametrize("text", ["1", "5,5", "-1,50", "0,101", "a,b"])
def test_percentiles_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    said = refused(capsys, "brain_mri", tmp_path, tmp_path / "out", f"--percentiles={text}")
    assert "give two numbers between 0 and 100" in said


def test_xrays_keep_the_publishers_split_and_names_tell_the_class(tmp_path: Path) -> None:
    out = prepared("lung_xray", miniatures.covid(tmp_path / "raw"), tmp_path / "out")
    rows = index(out)
    assert len(by_split(rows, "train")) == 9
    assert len(by_split(rows, "val")) == 3
    assert rows["covid_200"]["split"] == "test"
    assert rows["non_COVID_110"] | {"source": ""} == {
        "name": "non_COVID_110",
        "split": "val",
        "class": "Non-COVID",
        "group": "",
        "source": "",
    }
    assert rows["normal_sub-S0220"]["class"] == "Normal"
    assert ((pixels(out / "test_masks/covid_200.png") > 0) == blob(200)).all()


def test_xray_infections_of_other_classes_are_dropped(tmp_path: Path) -> None:
    raw = miniatures.covid(tmp_path / "raw", part="Infection")
    out = prepared("lung_xray", raw, tmp_path / "out", "--masks", "infection")
    assert {row["class"] for row in index(out).values()} == {"COVID-19"}
    assert ((pixels(out / "test_masks/covid_200.png") > 0) == blob(201)).all()
    assert "images with an empty mask, dropped: 12" in notes(out)
    kept = prepared("lung_xray", raw, tmp_path / "kept", "--masks", "infection", "--empty", "keep")
    assert len(index(kept)) == 18
    lungs = prepared("lung_xray", raw, tmp_path / "lungs")
    assert ((pixels(lungs / "test_masks/covid_200.png") > 0) == blob(200)).all()


def test_xray_parts_that_are_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.covid(tmp_path / "raw")
    said = refused(capsys, "lung_xray", raw, tmp_path / "out", "--part", "infection")
    assert (
        "has no folders such as 'Infection Segmentation Data/Test/COVID-19/images' with 'lung masks' beside"
        in said
    )
    (raw / "Lung Segmentation Data/Val/Normal/lung masks/sub-S0120.png").unlink()
    said = refused(capsys, "lung_xray", raw, tmp_path / "out")
    assert (
        "no mask for Lung Segmentation Data/Val/Normal/images/sub-S0120.png (images without one: 1)" in said
    )


def test_ct_lungs_are_blue_and_patients_stay_together(tmp_path: Path) -> None:
    out = prepared("lung_ct", miniatures.chest_ct(tmp_path / "raw"), tmp_path / "out")
    rows = index(out)
    assert len(rows) == 16  # of 24, as eight show no lungs
    row = rows["ID03_0001"]
    assert row["group"] == "ID03"
    mask = pixels(out / f"{row['split']}_masks/ID03_0001.png") > 0
    truth = np.zeros((32, 48), bool)
    truth[8:23, 24:40] = True
    assert (mask == truth).mean() > 0.99
    sides = {row["group"]: row["split"] for row in rows.values()}
    assert all(sides[row["group"]] == row["split"] for row in rows.values())
    assert notes(out) == [
        "images without a mask, left out: 1",
        "masks are JPEG: cut at half of the full value",
        "slices without lungs, dropped: 8",
    ]


def test_ct_other_organs_and_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.chest_ct(tmp_path / "raw")
    hearts = prepared("lung_ct", raw, tmp_path / "out", "--organ", "heart")
    assert len(index(hearts)) == 24
    for path in (raw / "masks/masks").glob("*.jpg"):
        Image.fromarray(pixels(path)[..., ::-1]).save(path, quality=95, subsampling=0)
    said = refused(capsys, "lung_ct", raw, tmp_path / "lungs")
    assert "red is the largest colour of the masks, where blue lungs were expected" in said
    assert len(index(prepared("lung_ct", raw, tmp_path / "red", "--channel", "red"))) == 16


def test_the_authors_zip_keeps_names_and_says_what_has_no_partner(tmp_path: Path) -> None:
    raw = miniatures.zipped(miniatures.authors(tmp_path / "raw"))
    out = prepared("authors", raw, tmp_path / "out")
    breast, ct = out / "breast_tumors", out / "lung_CT"
    assert index(breast)["benign (10)"]["class"] == "benign"
    assert ((pixels(breast / "val_masks/benign (10).png") == 255) == blob(10)).all()
    assert set(np.unique(pixels(ct / "test_masks/20.png"))) == {0, 255}
    assert "images without a mask, left out: 1 (test/malignant (77))" in notes(breast)
    assert "masks without an image, left out: 1 (val/88)" in notes(ct)
    assert "JPEG masks, cut at half of the full value: 6" in notes(ct)
    dataset = FolderDataset("busi", str(breast), "test", class_pattern="benign|malignant")
    assert [sample.id for sample in dataset.samples] == ["benign (20)", "benign (21)"]


def test_one_set_of_the_authors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = miniatures.authors(tmp_path / "raw") / "data"
    out = prepared("authors", raw, tmp_path / "out", "--only", "lung_CT")
    assert [path.name for path in out.iterdir()] == ["lung_CT"]
    alone = prepared("authors", raw / "lung_CT", tmp_path / "alone")
    assert [path.name for path in alone.iterdir()] == ["lung_CT"]
    assert "no set brain_tumors (breast_tumors, lung_CT are there)" in refused(
        capsys, "authors", raw, tmp_path / "x", "--only", "brain_tumors"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("busi", "udiat", "brain_mri", "lung_xray", "lung_ct", "medpix", "roco", "authors"),
        *("biomedparse", "medsegbench", "medclipseg", "cvpr_text_3d"),
    ],
)
def test_a_download_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/thesis.pdf").write_bytes(b"x")
    said = refused(capsys, name, tmp_path / "raw", tmp_path / "out")
    assert "raw has no " in said
    assert "(it has thesis.pdf)" in said
    assert not (tmp_path / "out").exists()
