"""Several classes per image in a folder: one sample each, with the truth of that class alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.folder import FolderDataset
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import Mask, Sample, UserError

SIZE = (12, 16)
VALUES = {"left_lung": [1], "right lung": [2, 3]}
FOLDERS = ["left_lung", "right lung"]


def labels(seed: int) -> np.ndarray:
    """(12, 16) uint8 of the values 0 to 3, at random."""
    return np.random.default_rng(seed).integers(0, 4, SIZE, dtype=np.uint8)


def truth(label_map: np.ndarray, class_name: str) -> Mask:
    """Reference: pixel by pixel."""
    rows = [[int(value) in VALUES[class_name] for value in row] for row in label_map]
    return np.array(rows, dtype=bool)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def label_masks(tmp_path: Path) -> Path:
    """Three images with masks of class labels; the last has no right lung."""
    for number in range(3):
        save(tmp_path / "test_images" / f"x{number}.png", labels(number) * 60)
        label_map = labels(number)
        if number == 2:
            label_map[label_map > 1] = 0
        save(tmp_path / "test_masks" / f"x{number}.png", label_map)
    return tmp_path


@pytest.fixture
def class_folders(label_masks: Path) -> Path:
    """The same truth as one folder of two-valued masks per class; what is absent has no file."""
    for path in sorted((label_masks / "test_masks").glob("*.png")):
        label_map = np.asarray(Image.open(path)).copy()
        path.unlink()
        for name in FOLDERS:
            if truth(label_map, name).any():
                save(path.parent / name / path.name, truth(label_map, name).astype(np.uint8) * 255)
    return label_masks


def folder(root: Path, classes, **arguments) -> FolderDataset:
    return FolderDataset(name="folder", root=str(root), split="test", classes=classes, **arguments)


def test_every_image_gives_one_sample_per_class(label_masks):
    dataset = folder(label_masks, VALUES)
    assert dataset.samples == tuple(
        Sample(f"x{number}@{name}", name, image_id=f"x{number}")
        for number in range(3)
        for name in ("left_lung", "right lung")
    )
    assert dataset.label_names == tuple(VALUES), "in the order of the configuration, not of the alphabet"
    for number, name in [(0, "left_lung"), (0, "right lung"), (1, "right lung")]:
        sample_id = f"x{number}@{name}"
        np.testing.assert_array_equal(dataset.read_ground_truth(sample_id), truth(labels(number), name))
        np.testing.assert_array_equal(dataset.read_image(sample_id), np.stack([labels(number) * 60] * 3, -1))
    assert not dataset.read_ground_truth("x2@right lung").any()
    assert dataset.notes == ("right lung is absent from 1 of 3 images: their true mask is empty",)
    assert not dataset.classes_are_true, "every image is asked for every class"
    assert folder(label_masks, None, mask_values=[1]).classes_are_true


def test_folders_of_classes_say_the_same_as_label_masks(label_masks, request):
    from_labels = folder(label_masks, VALUES)
    truths = {sample.id: from_labels.read_ground_truth(sample.id) for sample in from_labels.samples}
    from_folders = folder(request.getfixturevalue("class_folders"), FOLDERS)
    assert from_folders.samples == from_labels.samples
    assert from_folders.notes == from_labels.notes
    for sample_id, expected in truths.items():
        found = from_folders.read_ground_truth(sample_id)
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("classes", [VALUES, FOLDERS], ids=["values", "folders"])
def test_an_absent_class_can_be_dropped(classes, request):
    root = request.getfixturevalue("label_masks" if classes is VALUES else "class_folders")
    dataset = folder(root, classes, absent="drop")
    assert [sample.id for sample in dataset.samples] == [
        "x0@left_lung",
        "x0@right lung",
        "x1@left_lung",
        "x1@right lung",
        "x2@left_lung",
    ]
    assert dataset.notes == ("right lung is absent from 1 of 3 images: left out",)
    assert dataset.classes_are_true, "the samples that are left tell what their images show"


def test_nested_classes_and_single_values(label_masks):
    dataset = folder(label_masks, {"any": [1, 2, 3], "core": 3})
    whole, core = (dataset.read_ground_truth(f"x0@{name}") for name in ("any", "core"))
    np.testing.assert_array_equal(whole, labels(0) > 0)
    np.testing.assert_array_equal(core, labels(0) == 3)


def test_without_masks_every_class_is_still_asked_for(label_masks):
    shutil.rmtree(label_masks / "test_masks")
    for classes in (VALUES, FOLDERS):
        dataset = folder(label_masks, classes, absent="drop")
        assert len(dataset.samples) == 6
        assert not dataset.has_ground_truth
        assert not dataset.classes_are_true
        assert dataset.notes == ()
        with pytest.raises(UserError, match="has no test_masks"):
            dataset.read_ground_truth("x0@left_lung")


def test_samples_are_in_order_of_id_also_where_stems_continue_each_other(label_masks):
    for stem in ("x0 b", "x01"):
        save(label_masks / "test_images" / f"{stem}.png", labels(9) * 60)
        save(label_masks / "test_masks" / f"{stem}.png", labels(9))
    ids = [sample.id for sample in folder(label_masks, VALUES).samples]
    assert ids == sorted(ids)
    assert len(ids) == 10
    assert [sample.id for sample in folder(label_masks, VALUES, limit=1).samples] == [
        "x0@left_lung",
        "x0@right lung",
    ]


def test_digests_tell_classes_apart_and_share_the_image(label_masks, class_folders):
    dataset, digests = folder(class_folders, FOLDERS), FileDigests()
    ids = [sample.id for sample in dataset.samples]
    assert len({dataset.image_digest(i, digests) for i in ids}) == 3
    assert len({dataset.ground_truth_digest(i, digests) for i in ids}) == 6
    before = dataset.ground_truth_digest("x2@right lung", digests)
    save(
        class_folders / "test_masks" / "right lung" / "x2.png",
        truth(labels(2), "right lung").astype(np.uint8),
    )
    assert folder(class_folders, FOLDERS).ground_truth_digest("x2@right lung", digests) != before


def test_digests_of_label_masks_follow_the_values(label_masks):
    digests = FileDigests()
    one, other = (
        folder(label_masks, {"a": values, "rest": [1, 2, 3]}).ground_truth_digest("x0@a", digests)
        for values in ([1], [1, 2])
    )
    assert one != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": {"left": [1], "right": [2]}}, r"x0\.png has pixels of the value 3, which data\.classes"),
        ({"classes": {"left": [1], "right": [2]}, "background": [0, 3]}, None),
        ({"classes": {"left": [1], "right": [2]}, "background": [3]}, "of the value 0, which"),
        ({"classes": {}}, "data.classes is empty"),
        ({"classes": {False: [1]}}, "data.classes has False, a word that YAML reads so"),
        ({"classes": [True]}, "data.classes has True, a word that YAML reads so"),
        ({"classes": []}, "data.classes is empty"),
        ({"classes": {"left": []}}, "data.classes.left is empty"),
        ({"classes": {"left": [0, 1]}}, "data.classes.left and data.background both have 0"),
        ({"classes": {"a/b": [1]}}, "'a/b', which cannot be part of a file's name"),
        ({"classes": {"a@b": [1]}}, "'a@b', which cannot"),
        ({"classes": {" a": [1]}}, "' a', which cannot"),
        ({"classes": {"a": [1], "A": [2]}}, "a and A, which are one name"),
        ({"classes": ["a", "a"]}, "a and a, which are one name"),
        ({"classes": VALUES, "mask_values": [1]}, "data.mask_values and data.classes both say"),
        ({"classes": VALUES, "class_name": "lung"}, "data.class_name and data.classes both give a class"),
        ({"classes": VALUES, "index": "index.csv"}, "data.index and data.classes both give a class"),
        ({"classes": ["heart"]}, r"test_masks has no folder heart \(it has no folders\)"),
        ({"classes": {"heart": [9]}, "background": [0, 1, 2, 3], "absent": "drop"}, "leaves none"),
    ],
)
def test_wrong_settings_and_labels(label_masks, arguments, message):
    if message is None:
        assert len(folder(label_masks, **arguments).samples) == 6
        return
    with pytest.raises(UserError, match=message):
        folder(label_masks, **arguments)


def test_colours_are_no_label_values(label_masks):
    """Also where only two colours occur, which a two-valued mask may have; a palette's indices are."""
    palette = Image.fromarray(labels(0), mode="P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 0, 0, 128])
    palette.convert("RGB").save(label_masks / "test_masks" / "x0.png")
    for arguments in ({"classes": VALUES}, {"classes": None, "mask_values": [1]}):
        with pytest.raises(UserError, match=r"x0\.png is coloured, so it has no label values"):
            folder(label_masks, **arguments)
    palette.save(label_masks / "test_masks" / "x0.png")
    for name in VALUES:
        found = folder(label_masks, VALUES).read_ground_truth(f"x0@{name}")
        np.testing.assert_array_equal(found, truth(labels(0), name))


def test_unlisted_values_can_be_skipped(label_masks):
    label_map = labels(1)
    label_map[0, 0] = 77
    save(label_masks / "test_masks" / "x1.png", label_map)
    dataset = folder(label_masks, VALUES, on_error="skip")
    assert len(dataset.samples) == 4
    assert "skipped: " in dataset.notes[0]
    assert "of the value 77" in dataset.notes[0]


def test_pairing_errors_of_class_folders(class_folders):
    masks = class_folders / "test_masks"
    save(masks / "right lung" / "alone.png", labels(0))
    save(class_folders / "test_images" / "bare.png", labels(0))
    shutil.copy(masks / "left_lung" / "x0.png", masks / "left_lung" / "x0.bmp")
    save(masks / "left_lung" / "x1.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(UserError) as caught:
        folder(class_folders, FOLDERS)
    for part in (
        "4 of 5 samples are faulty",
        "alone has a mask (right lung/alone.png) but no image",
        "bare has an image (bare.png) but no mask",
        "x0 has 2 left_lung masks",
        "x1 has an image of 16 x 12 and a mask of 5 x 5 pixels",
    ):
        assert part in str(caught.value)
