"""One fault at a time in a clean dataset: it is found, under its own kind and name, and nothing else is."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from medsam_exp.curation.quality.finding import KINDS, SEVERITIES
from tests.clean_data import Clean, lesion, scan


def kinds(examination) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.kind, finding.items) for finding in examination.findings]


def test_a_clean_dataset_gives_no_finding(clean, checked):
    assert kinds(checked(clean.root)) == []


def unreadable(clean: Clean) -> None:
    clean.path("val", "images", "case_06").write_bytes(b"no image")


def unpaired(clean: Clean) -> None:
    clean.path("val", "masks", "case_06").unlink()


def smaller_mask(clean: Clean) -> None:
    clean.put("val", "case_06", scan(6), lesion(6)[:-8])


def label_mask(clean: Clean) -> None:
    mask = lesion(6)
    mask[lesion(7) > 0] = 90
    clean.put("val", "case_06", scan(6), mask)


def empty_mask(clean: Clean) -> None:
    clean.put("val", "case_06", scan(6), np.zeros_like(lesion(6)))


def tiny_mask(clean: Clean) -> None:
    mask = np.zeros_like(lesion(6))
    mask[40:43, 50:54] = 255
    clean.put("val", "case_06", scan(6), mask)


def full_mask(clean: Clean) -> None:
    mask = np.full_like(lesion(6), 255)
    mask[:2] = 0
    clean.put("val", "case_06", scan(6), mask)


def inverted_mask(clean: Clean) -> None:
    clean.put("val", "case_06", scan(6), 255 - lesion(6))


def normal_with_mask(clean: Clean) -> None:
    for split in ("train", "val", "test"):  # so that no split lacks the class
        clean.put(split, f"normal_{split}", scan(20 + len(split)), np.zeros_like(lesion(6)), "normal")
    clean.put("val", "case_06", scan(6), lesion(6), "normal")


def lossy_mask(clean: Clean) -> None:
    path = clean.path("val", "masks", "case_06")
    path.unlink()
    Image.fromarray(lesion(6)).save(path.with_suffix(".jpg"), quality=70)


def specks(clean: Clean) -> None:
    mask = lesion(6)
    mask[2, 3] = 255
    clean.put("val", "case_06", scan(6), mask)


def coloured_outline(clean: Clean) -> None:
    coloured = np.repeat(scan(6)[..., None], 3, axis=-1)
    border = (lesion(6) > 0) & ~binary_erosion(lesion(6))
    coloured[border] = (255, 0, 0)
    clean.put("val", "case_06", coloured, lesion(6))


def no_contrast(clean: Clean) -> None:
    clean.put("val", "case_06", (100 + scan(6) // 40).astype(np.uint8), lesion(6))


def clipped(clean: Clean) -> None:
    image = scan(6)
    image[image > 105] = 255
    clean.put("val", "case_06", image, lesion(6))


def long_image(clean: Clean) -> None:
    clean.put("val", "case_06", scan(6, (96, 400)), lesion(6, (96, 400)))


def coloured(clean: Clean) -> None:
    image = np.repeat(scan(6)[..., None], 3, axis=-1)
    image[20:40, 20:60] = (200, 30, 30)
    clean.put("val", "case_06", image, lesion(6))


def missing_row(clean: Clean) -> None:
    clean.put("train", "case_12", scan(12), lesion(12))
    del clean.rows["train", "case_12"]
    clean.write_index()


def words(clean: Clean) -> None:
    image = Image.fromarray(scan(6, (200, 260)))
    ImageDraw.Draw(image).text((60, 150), "RIGHT BREAST", fill=235, font=ImageFont.load_default(size=16))
    clean.put("val", "case_06", np.asarray(image), lesion(6, (200, 260)))


def crosses(clean: Clean) -> None:
    image = scan(6, (200, 260)) // 2
    for y, x in ((60, 80), (120, 190)):
        image[y, x - 5 : x + 6] = 230
        image[y - 5 : y + 6, x] = 230
    clean.put("val", "case_06", image, lesion(6, (200, 260)))


ONE_IMAGE = {
    "unreadable": unreadable,
    "unpaired": unpaired,
    "unusable_mask": smaller_mask,
    "empty_mask": empty_mask,
    "tiny_mask": tiny_mask,
    "full_mask": full_mask,
    "inverted_mask": inverted_mask,
    "normal_with_mask": normal_with_mask,
    "lossy_mask": lossy_mask,
    "specks": specks,
    "no_contrast": no_contrast,
    "clipped": clipped,
    "aspect": long_image,
    "coloured": coloured,
    "words": words,
    "crosses": crosses,
}


@pytest.mark.parametrize(("kind", "spoil"), ONE_IMAGE.items())
def test_a_fault_of_one_image_is_found_alone(clean, checked, kind, spoil):
    spoil(clean)
    assert kinds(checked(clean.root)) == [(kind, ("val/case_06",))]


def test_masks_of_labels_are_refused_unless_their_values_are_given(clean, checked):
    label_mask(clean)
    assert kinds(checked(clean.root)) == [("unusable_mask", ("val/case_06",))]
    assert kinds(checked(clean.root, mask_values=(90, 255))) == []


def test_a_drawn_outline_is_found_and_is_coloured_too(clean, checked):
    coloured_outline(clean)
    assert kinds(checked(clean.root)) == [("outline", ("val/case_06",)), ("coloured", ("val/case_06",))]


def test_an_index_that_does_not_fit(clean, checked):
    missing_row(clean)
    (finding,) = checked(clean.root).findings
    assert finding.kind == "index"
    assert finding.message == "1 images are not in index.csv (train/case_12)"
    clean.rows["train", "gone"] = ("benign", "patient_99")
    clean.write_index()
    messages = [finding.message for finding in checked(clean.root).findings]
    assert "index.csv has 1 rows without an image (train/gone)" in messages


def test_the_same_pixels_within_a_split(clean, checked):
    clean.put("train", "copy", scan(0), lesion(0), class_name="benign")
    assert kinds(checked(clean.root)) == [("identical", ("train/case_00", "train/copy"))]


def test_the_same_pixels_across_splits_whatever_the_format(clean, checked):
    Image.fromarray(scan(0)).save(clean.root / "test_images" / "copy.bmp")
    Image.fromarray(lesion(0)).save(clean.root / "test_masks" / "copy.tif")
    clean.rows["test", "copy"] = ("benign", "patient_77")
    clean.write_index()
    assert kinds(checked(clean.root)) == [("identical_across_splits", ("test/copy", "train/case_00"))]


def test_the_same_pixels_with_another_class_and_another_mask(clean, checked):
    clean.put("train", "copy", scan(0), lesion(3), class_name="malignant")
    names = ("train/case_00", "train/copy")
    assert kinds(checked(clean.root)) == [("identical_labels", names), ("identical_masks", names)]


def recompressed(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.clip(image * 1.15, 0, 255).astype(np.uint8)).save(buffer, "jpeg", quality=60)
    return np.asarray(Image.open(buffer))


def test_nearly_the_same_within_a_split_is_a_note(clean, checked):
    clean.put("train", "copy", recompressed(scan(0)), lesion(0), class_name="benign")
    assert kinds(checked(clean.root)) == [("near", ("train/case_00", "train/copy"))]
    assert kinds(checked(clean.root, near=False)) == []


def test_nearly_the_same_across_splits_and_contradicting(clean, checked):
    clean.put("test", "copy", recompressed(scan(0)), lesion(3), class_name="malignant")
    names = ("test/copy", "train/case_00")
    assert kinds(checked(clean.root)) == [
        ("near_across_splits", names),
        ("near_labels", names),
        ("near_masks", names),
    ]


def test_a_mirrored_copy_in_the_test_split(clean, checked):
    clean.put("test", "copy", scan(0)[:, ::-1], lesion(0)[:, ::-1], class_name="benign")
    (finding,) = checked(clean.root).findings
    assert (finding.kind, finding.items) == ("near_across_splits", ("test/copy", "train/case_00"))
    assert "mirrored" in finding.message


def test_patients_in_two_splits_by_index_and_by_name(clean, checked):
    clean.put("test", "case_20", scan(20), lesion(20), group="patient_1")
    assert kinds(checked(clean.root)) == [("group_across_splits", ("test/case_20", "train/case_01"))]
    clean.put("test", "case_20", scan(20), lesion(20), group="patient_20")
    by_name = checked(clean.root, group=r"case_(\d)")
    assert {finding.kind for finding in by_name.findings} == {"group_across_splits"}
    assert by_name.findings[0].message == "0 has images 1 in test, 6 in train, 3 in val"


def test_sixteen_bits_are_a_note_and_a_mixture_a_warning(clean, checked):
    clean.put("val", "case_06", scan(6).astype(np.uint16) * 16, lesion(6))
    assert [kind for kind, _ in kinds(checked(clean.root))] == ["mixed_depth", "deep"]
    for (split, stem), number in zip(list(clean.rows), range(12), strict=True):
        clean.put(split, stem, scan(number).astype(np.uint16) * 16, lesion(number))
    assert {kind for kind, _ in kinds(checked(clean.root))} == {"deep"}


def test_classes_that_a_split_lacks_and_unequal_ones(clean, checked):
    for number in range(30, 52):
        clean.put("train", f"case_{number}", scan(number), lesion(number), "cyst")
    for number in range(60, 62):
        clean.put("train", f"case_{number}", scan(number), lesion(number), "scar")
    found = checked(clean.root, near=False).findings
    assert [finding.kind for finding in found] == ["missing_class", "missing_class", "imbalance"]
    assert found[0].message == "test has no image of cyst and scar"
    assert found[2].message == "cyst has 22 images and scar 2, 11 to 1"


def test_masks_of_an_organ_are_no_lesions_of_normal_images(clean, checked):
    for number, (split, stem) in enumerate(list(clean.rows)):
        clean.put(split, stem, scan(number), lesion(number), "normal" if number % 2 else "covid")
    assert checked(clean.root).findings == ()


def test_every_kind_is_seeded_here():
    elsewhere = {
        "identical", "identical_across_splits", "identical_labels", "identical_masks", "near", "near_across_splits",
        "near_labels", "near_masks", "group_across_splits", "outline", "index", "mixed_depth", "deep",
        "missing_class", "imbalance",
    }  # fmt: skip
    assert set(KINDS) == elsewhere | set(ONE_IMAGE)


@pytest.mark.parametrize("suffix", ["bmp", "tif"])
def test_the_format_changes_nothing(tmp_path, checked, suffix):
    found = []
    for each in ("png", suffix):
        clean = Clean(tmp_path / each, each)
        clean.put("test", "copy", recompressed(scan(0)), lesion(3), class_name="malignant")
        empty_mask(clean)
        found.append(kinds(checked(clean.root)))
    assert found[0] == found[1]
    assert len(found[0]) == 4


def test_each_kind_says_what_it_means_and_what_mends_it():
    for name, kind in KINDS.items():
        assert kind.severity in SEVERITIES, name
        for text in (kind.title, kind.meaning, kind.mend):
            assert text.strip(), name
            assert not {"{", "}", "\n"} & set(text), name
    assert [kind.severity for kind in KINDS.values()] == sorted(
        (kind.severity for kind in KINDS.values()), key=SEVERITIES.index
    )
