"""Images that are left out on purpose, by name or by a file of names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.folder import FolderDataset
from medsam_exp.types import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images a, b, c in test, and a, d in train, all with masks."""
    for split, stems in (("test", "abc"), ("train", "ad")):
        for kind in ("images", "masks"):
            (tmp_path / f"{split}_{kind}").mkdir()
        for number, stem in enumerate(stems):
            scan = np.random.default_rng(number).integers(0, 256, (9, 9), dtype=np.uint8)
            Image.fromarray(scan).save(tmp_path / f"{split}_images" / f"{stem}.png")
            Image.fromarray((scan > 99) * np.uint8(255)).save(tmp_path / f"{split}_masks" / f"{stem}.png")
    return tmp_path


def ids(root: Path, exclude, split: str = "test", **arguments) -> list[str]:
    return [sample.id for sample in folder(root, exclude, split, **arguments).samples]


def folder(root: Path, exclude, split: str = "test", **arguments) -> FolderDataset:
    return FolderDataset(name="folder", root=str(root), split=split, exclude=exclude, **arguments)


def written(root: Path, name: str, text: str) -> str:
    (root / name).write_text(text)
    return str(root / name)


def test_nothing_is_left_out_unless_asked(root):
    assert ids(root, None) == ids(root, []) == ["a", "b", "c"]
    assert folder(root, None).notes == ()


@pytest.mark.parametrize("names", [["b"], ["b.png"], ["b.PNG"]])
def test_names_with_and_without_suffix(root, names):
    assert ids(root, names) == ["a", "c"]
    assert folder(root, names).notes == ("1 of 3 images left out by data.exclude: b",)


def test_a_table_speaks_of_its_split_alone(root):
    table = written(root, "exclude.csv", "name,split,why\na.png,train,copy\nb.png,test,copy\nc.png,,copy\n")
    assert ids(root, table) == ["a"]
    assert ids(root, table, "train") == ["d"]


def test_a_text_file_speaks_of_every_split(root):
    names = written(root, "left_out.txt", "a.png\n\nd\n")
    assert ids(root, names) == ["b", "c"]
    with pytest.raises(UserError, match=r"data\.exclude leaves none of the 2 images in .*train_images"):
        ids(root, names, "train")


def test_a_file_inside_the_root_is_found_by_its_name(root):
    written(root, "exclude.csv", "name\nc\n")
    assert ids(root, "exclude.csv") == ["a", "b"]


def test_names_that_are_not_there_are_said(root):
    assert folder(root, ["b", "x"]).notes[1] == "data.exclude names 1 images that are not there: x"
    table = written(root, "exclude.csv", "name,split\nx.png,test\ny.png,train\n")
    assert folder(root, table).notes == ("data.exclude names 1 images that are not there: x",)


def test_what_is_left_out_is_not_even_decoded(root):
    (root / "test_images" / "b.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"b\.png cannot be read"):
        ids(root, None)
    assert ids(root, ["b"]) == ["a", "c"]


def test_the_limit_counts_what_is_left(root):
    assert ids(root, ["a"], limit=2) == ["b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("exclude.csv", "slice\na\n", r"exclude\.csv has no column 'name' \(it has 'slice'\)"),
        ("exclude.csv", "", r"is empty: it needs a header line with name"),
        ("missing.csv", None, r"data\.exclude is '.*missing\.csv', which is no file"),
    ],
)
def test_faulty_lists(root, name, content, said):
    path = str(root / name) if content is None else written(root, name, content)
    with pytest.raises(UserError, match=said):
        ids(root, path)


def test_a_file_that_is_no_text(root):
    (root / "exclude.csv").write_bytes(b"name\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"exclude\.csv is not in UTF-8 \(it has a byte 0xff in line 2\)"):
        ids(root, "exclude.csv")
