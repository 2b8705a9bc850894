"""Labels from files: both layouts, and every fault named with its file before anything is trained."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.nnunet.raw_dataset import case_name
from medsam_exp.nnunet.weak_label.folder import FolderMasks, Wanted
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import UserError

ONE, TWO = ("tumor",), ("benign", "malignant")
SQUARE = np.zeros((6, 8), np.uint8)
SQUARE[2:4, 2:5] = 1


def _save(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def _single(name: str = "scan") -> Wanted:
    return Wanted(name, (6, 8), {1: name})


def _double(name: str = "scan") -> Wanted:
    return Wanted(name, (6, 8), {1: f"{name}@benign", 2: f"{name}@malignant"})


@pytest.mark.parametrize("factor", [1, 255])
def test_a_two_valued_mask_of_one_class(tmp_path: Path, factor: int) -> None:
    _save(tmp_path / "scan.png", SQUARE * factor)
    label = FolderMasks(str(tmp_path)).read(_single(), ONE)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, SQUARE)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_an_empty_and_a_full_mask(tmp_path: Path, value: int) -> None:
    _save(tmp_path / "scan.png", np.full((6, 8), value, np.uint8))
    assert (FolderMasks(str(tmp_path)).read(_single(), ONE) == min(value, 1)).all()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_masks_of_every_kind_of_png(tmp_path: Path, mode: str) -> None:
    Image.fromarray(SQUARE * 255).convert(mode).save(tmp_path / "scan.png")
    np.testing.assert_array_equal(FolderMasks(str(tmp_path)).read(_single(), ONE), SQUARE)


def test_a_label_under_nnunet_name_of_its_case(tmp_path: Path) -> None:
    _save(tmp_path / f"{case_name('scan')}.png", SQUARE)
    np.testing.assert_array_equal(FolderMasks(str(tmp_path)).read(_single(), ONE), SQUARE)
    _save(tmp_path / f"{case_name('other')}.png", SQUARE * 2)
    np.testing.assert_array_equal(FolderMasks(str(tmp_path)).read(_double("other"), TWO), SQUARE * 2)


def test_one_mask_per_class(tmp_path: Path) -> None:
    _save(tmp_path / "scan@benign.png", SQUARE * 255)
    _save(tmp_path / "scan@malignant.png", np.roll(SQUARE, 1, axis=1))
    label = FolderMasks(str(tmp_path)).read(_double(), TWO)
    expected = np.where(SQUARE, 1, 2 * np.roll(SQUARE, 1, axis=1))
    np.testing.assert_array_equal(label, expected)


def test_one_label_mask_for_all_classes(tmp_path: Path) -> None:
    values = SQUARE.copy()
    values[0] = 2
    _save(tmp_path / "scan.png", values)
    np.testing.assert_array_equal(FolderMasks(str(tmp_path)).read(_double(), TWO), values)


def test_a_label_mask_of_the_only_class_may_be_255(tmp_path: Path) -> None:
    _save(tmp_path / "scan.png", SQUARE * 255)
    wanted = Wanted("scan", (6, 8), {1: "scan@tumor"})
    np.testing.assert_array_equal(FolderMasks(str(tmp_path)).read(wanted, ONE), SQUARE)


def test_an_image_that_shows_one_of_several_classes(tmp_path: Path) -> None:
    """Its only sample has the image's own id, so its file is a two-valued mask of that class."""
    _save(tmp_path / "scan.png", SQUARE * 255)
    label = FolderMasks(str(tmp_path)).read(Wanted("scan", (6, 8), {2: "scan"}), TWO)
    np.testing.assert_array_equal(label, SQUARE * 2)


def test_the_files_that_decide_a_label(tmp_path: Path) -> None:
    policy = FolderMasks(str(tmp_path))
    parts = tuple(_save(tmp_path / f"scan@{name}.png", SQUARE) for name in TWO)
    assert policy.files(_double()) == parts
    for part in parts:
        part.unlink()
    whole = _save(tmp_path / "scan.png", SQUARE)
    assert policy.files(_double()) == (whole,)


def test_the_digest_follows_names_and_contents_and_not_the_place(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        _save(folder / "scan.png", SQUARE)
        (folder / "readme.txt").write_text(folder.name)
    first, second = (FolderMasks(str(folder)).digest(FileDigests()) for folder in folders)
    assert first == second
    (folders[0] / "scan.png").rename(folders[0] / "other.png")
    _save(folders[1] / "scan.png", 1 - SQUARE)
    changed = [FolderMasks(str(folder)).digest(FileDigests()) for folder in folders]
    assert len({first, *changed}) == 3


def _fault(tmp_path: Path, wanted: Wanted, class_names: tuple[str, ...]) -> str:
    with pytest.raises(UserError) as caught:
        FolderMasks(str(tmp_path)).check(iter([wanted]), class_names)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_mask(tmp_path: Path) -> None:
    assert f"scan has no {tmp_path / 'scan.png'})" in _fault(tmp_path, _single(), ONE)
    said = _fault(tmp_path, _double(), TWO)
    assert "scan@benign.png" in said
    assert f"(or {tmp_path / 'scan.png'} with a value per class)" in said
    _save(tmp_path / "scan@benign.png", SQUARE)
    assert f"scan has no {tmp_path / 'scan@malignant.png'})" in _fault(tmp_path, _double(), TWO)


def test_both_layouts_for_one_image(tmp_path: Path) -> None:
    _save(tmp_path / "scan.png", SQUARE)
    _save(tmp_path / "scan@malignant.png", SQUARE)
    assert "scan has both" in _fault(tmp_path, _double(), TWO)


def test_another_size(tmp_path: Path) -> None:
    path = _save(tmp_path / "scan.png", SQUARE.T.copy())
    assert f"{path} has 6 x 8 pixels where its image has 8 x 6" in _fault(tmp_path, _single(), ONE)


@pytest.mark.parametrize(("values", "listed"), [((0, 2), "0, 2"), ((0, 1, 255), "0, 1, 255"), ((7,), "7")])
def test_values_that_are_no_mask(tmp_path: Path, values: tuple[int, ...], listed: str) -> None:
    path = _save(tmp_path / "scan.png", np.resize(np.array(values, np.uint8), (6, 8)))
    assert f"{path} has the values {listed}: a mask has 0 and 255, or 0 and 1" in _fault(
        tmp_path, _single(), ONE
    )


def test_values_that_are_no_label(tmp_path: Path) -> None:
    path = _save(tmp_path / "scan.png", np.resize(np.array([0, 1, 3, 255], np.uint8), (6, 8)))
    said = _fault(tmp_path, _double(), TWO)
    assert f"{path} has the values 3, 255: label values are 0 background, 1 benign, 2 malignant" in said


def test_colours_are_no_values(tmp_path: Path) -> None:
    _save(tmp_path / "scan.png", np.random.default_rng(0).integers(0, 255, (6, 8, 3)).astype(np.uint8))
    assert "is coloured, so it has no label values" in _fault(tmp_path, _single(), ONE)


def test_all_faults_are_named_at_once_and_long_lists_are_cut(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    _save(tmp_path / "sound.png", SQUARE)
    wanted = [_single(name) for name in ("broken", "absent", "sound")]
    with pytest.raises(UserError) as caught:
        FolderMasks(str(tmp_path)).check(iter(wanted), ONE)
    said = str(caught.value)
    assert "2 of 3 images have no usable label" in said
    assert "broken.png cannot be read as an image" in said
    assert "absent has no" in said
    with pytest.raises(UserError, match="; and 5 more"):
        FolderMasks(str(tmp_path)).check((_single(f"absent {number}") for number in range(15)), ONE)


def test_a_sound_folder_passes(tmp_path: Path) -> None:
    _save(tmp_path / "scan (1).png", SQUARE)
    FolderMasks(str(tmp_path)).check([_single("scan (1)")], ONE)


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weak_label\.root=.* is not a folder"):
        FolderMasks(str(tmp_path / "nowhere"))


def test_real_masks_are_read_as_the_dataset_reads_them(shared_data: Path) -> None:
    from medsam_exp.data.masks import read_mask

    files = sorted(shared_data.rglob("*_masks/*.png"))[:10]
    assert files
    for file in files:
        expected, _ = read_mask(file)
        label = FolderMasks(str(file.parent)).read(Wanted(file.stem, expected.shape, {1: file.stem}), ONE)
        np.testing.assert_array_equal(label > 0, expected)


def test_a_second_folder_is_part_of_the_digest_and_named_when_it_is_missing(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        _save(folder / "scan.png", SQUARE)
    digests = FileDigests(tmp_path / "digests.json")
    alone, both = FolderMasks(str(one)), FolderMasks(str(one), str(two))
    assert alone.second is None
    assert both.second is not None
    np.testing.assert_array_equal(both.second.read(_single(), ONE), SQUARE)
    before = both.digest(digests)
    assert before != alone.digest(digests)
    _save(two / "scan.png", 1 - SQUARE)
    assert FolderMasks(str(one), str(two)).digest(digests) != before
    with pytest.raises(UserError, match=r"weak_label.second=.*/three is not a folder"):
        FolderMasks(str(one), str(tmp_path / "three"))
