"""Original downloads and tables of pairs, as their authors arrange them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.curation.quality.layout import find_collection, without
from medsam_exp.types import UserError
from tests.clean_data import lesion, scan


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def busi(tmp_path: Path) -> Path:
    """As BUSI comes: masks beside the images, several for one of them, normal ones empty."""
    for number, name in enumerate(("benign", "malignant", "normal")):
        for k in (1, 2):
            save(tmp_path / name / f"{name} ({k}).png", scan(2 * number + k))
            mask = lesion(k) if name != "normal" else np.zeros_like(lesion(k))
            save(tmp_path / name / f"{name} ({k})_mask.png", mask)
    save(tmp_path / "benign" / "benign (1)_mask_1.png", lesion(9))
    return tmp_path


def test_masks_beside_images(busi, checked):
    listing = find_collection(busi)
    items = {item.name: item for item in listing.items}
    assert listing.form == "raw"
    assert {name: item.class_name for name, item in items.items()} == {
        f"{name}/{name} ({k})": name for name in ("benign", "malignant", "normal") for k in (1, 2)
    }
    assert [path.name for path in items["benign/benign (1)"].masks[""]] == [
        "benign (1)_mask.png",
        "benign (1)_mask_1.png",
    ]
    examination = checked(busi)
    assert examination.findings == ()
    union = (lesion(1) | lesion(9)) > 0
    assert examination.dataset.masks["benign/benign (1)", ""].foreground == union.sum()


def test_masks_in_folders_of_their_kind(tmp_path, checked):
    for split in ("Train", "Test"):
        for number, name in enumerate(("COVID-19", "Normal")):
            place, seed = tmp_path / "Infection Segmentation Data" / split / name, 4 * number + len(split)
            save(place / "images" / "a (1).png", scan(seed))
            save(place / "lung masks" / "a (1).png", lesion(seed))
            empty = np.zeros_like(lesion(0))
            save(place / "infection masks" / "a (1).png", empty if name == "Normal" else lesion(7))
    items = find_collection(tmp_path).items
    assert {(item.split, item.class_name, *sorted(item.masks)) for item in items} == {
        (split, name, "infection masks", "lung masks")
        for split in ("train", "test")
        for name in ("COVID-19", "Normal")
    }
    assert checked(tmp_path).findings == ()


def test_a_folder_of_images_to_be_labelled_holds_images(tmp_path):
    save(tmp_path / "scans_to_label" / "a.png", scan(1))
    save(tmp_path / "labels" / "a.png", lesion(1))
    save(tmp_path / "scans" / "a.png", scan(2))
    items = {item.name: item for item in find_collection(tmp_path).items}
    assert items["scans_to_label/a"].image is not None


def test_masks_and_images_without_a_partner(busi, checked):
    (busi / "benign" / "benign (2).png").unlink()
    (busi / "normal" / "normal (1)_mask.png").unlink()
    assert [finding.message for finding in checked(busi).findings] == [
        "benign (2)_mask.png is a mask without an image",
        "normal (1).png is an image without a mask",
    ]


def test_images_without_any_masks_are_fine(tmp_path, checked):
    for number in range(3):
        save(tmp_path / f"scan_{number}.png", scan(number))
    assert not any(item.masks for item in find_collection(tmp_path).items)
    assert checked(tmp_path).findings == ()


def test_masks_by_class_in_folders(clean, checked):
    for name in ("left", "right"):
        (clean.root / "test_masks" / name).mkdir()
    for stem in ("case_09", "case_10", "case_11"):
        path = clean.path("test", "masks", stem)
        path.rename(path.parent / "left" / path.name)
    save(clean.root / "test_masks" / "right" / "case_09.png", np.zeros_like(lesion(0)))
    items = {item.name: item for item in find_collection(clean.root).items}
    assert sorted(items["test/case_09"].masks) == ["left", "right"]
    assert checked(clean.root).findings == ()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for number in range(6):
        save(tmp_path / "images" / f"{number}.png", scan(number))
    for split, numbers in (("train", (0, 1, 2)), ("val", (3, 4))):
        rows = [f"images/{number}.png,A scan of something {number}" for number in numbers]
        (tmp_path / f"{split}.csv").write_text("\n".join(["filename,Caption", *rows]) + "\n")
    return tmp_path


def test_pairs_across_tables(pairs, checked):
    assert checked(pairs).findings == ()
    with (pairs / "val.csv").open("a") as file:
        file.write("images/1.png,The same image again\n")
    (finding,) = checked(pairs).findings
    assert finding.kind == "identical_across_splits"
    assert finding.items == ("train/images/1.png", "val/images/1.png")


def test_one_table_and_other_columns(pairs):
    (pairs / "mine.csv").write_text("path,text\nimages/5.png,A scan of something else\n")
    listing = find_collection(pairs / "mine.csv", image_column="path", caption_column="text")
    assert [(item.name, item.split) for item in listing.items] == [("mine/images/5.png", "")]


def test_what_is_excluded_is_not_looked_at(clean):
    table = clean.root / "out.csv"
    table.write_text("name,split\ncase_00.png,train\ncase_01.png,test\n")
    names = {item.name for item in without(find_collection(clean.root), str(table)).items}
    assert "train/case_00" not in names
    assert "train/case_01" in names


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda root: None, {}, r"nothing does not exist: give a folder"),
        (lambda root: root.mkdir(), {}, r"nothing holds no images"),
        (
            lambda root: save(root / "a.png", scan(0)),
            {"group": "("},
            r"--group '\(' is no regular expression",
        ),
    ],
)
def test_what_cannot_be_looked_at(tmp_path, make, options, said):
    make(tmp_path / "nothing")
    with pytest.raises(UserError, match=said):
        find_collection(tmp_path / "nothing", **options)
