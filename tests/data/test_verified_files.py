"""Files that are replaced between planning and reading: in datasets, pairs and folders of labels."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.csv_pairs import CsvPairs
from medsam_exp.data.decoding import decode, read_image
from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.image import ImageDataset
from medsam_exp.data.verified_files import VerifiedFiles
from medsam_exp.nnunet.weak_label.folder import FolderMasks, Wanted
from medsam_exp.runtime.digests import ChangedFileError, FileDigests
from tests.data.test_decoding import write_png16
from tests.data.volumes.synthetic import dicom_image

CHANGED = r"changed while the run was at work; run the same command again"


def write(path: Path, seed: int) -> Path:
    """A file of noise; equal size in bytes and equal time whatever the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 2, (12, 16), dtype=np.uint8) * 255
    if path.suffix == ".dcm":
        dicom_image(path, values.astype(np.uint16))
    else:
        Image.fromarray(values).save(path)
    os.utime(path, ns=(10**18, 10**18))
    return path


def of_folder(root: Path, suffix: str) -> FolderDataset:
    write(root / "test_images" / f"a{suffix}", 1)
    write(root / "test_masks" / "a.png", 2)
    return FolderDataset("f", str(root), "test")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".dcm"])
def test_a_replaced_image_is_not_read(tmp_path: Path, suffix: str) -> None:
    dataset = of_folder(tmp_path, suffix)
    path = tmp_path / "test_images" / f"a{suffix}"
    before, content = dataset.read_image("a"), path.read_bytes()
    dataset.image_digest("a", FileDigests())
    assert (dataset.read_image("a") == before).all()
    write(path, 3)
    with pytest.raises(ChangedFileError, match=f"a{suffix} was {CHANGED}"):
        dataset.read_image("a")
    path.write_bytes(content)
    assert (dataset.read_image("a") == before).all()


def test_a_replaced_mask_is_not_read(tmp_path: Path) -> None:
    dataset = of_folder(tmp_path, ".png")
    dataset.ground_truth_digest("a", FileDigests())
    write(tmp_path / "test_masks" / "a.png", 3)
    with pytest.raises(ChangedFileError, match=f"a.png was {CHANGED}"):
        dataset.read_ground_truth("a")


def test_a_second_plan_does_not_take_the_new_file_for_the_old_one(tmp_path: Path) -> None:
    dataset = of_folder(tmp_path, ".png")
    dataset.image_digest("a", FileDigests())
    write(tmp_path / "test_images" / "a.png", 3)
    with pytest.raises(ChangedFileError, match=CHANGED):
        dataset.image_digest("a", FileDigests())


def test_a_replaced_single_image_is_not_read(tmp_path: Path) -> None:
    dataset = ImageDataset(str(write(tmp_path / "a.png", 1)))
    dataset.image_digest("a", FileDigests())
    write(tmp_path / "a.png", 3)
    with pytest.raises(ChangedFileError, match=CHANGED):
        dataset.read_image("a")


def test_a_replaced_image_of_a_pair_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 1)
    (tmp_path / "pairs.csv").write_text("filename,Caption\na.png,a caption that is long enough\n")
    pairs = CsvPairs(str(tmp_path / "pairs.csv"), part="all")
    pairs.digest(FileDigests())
    write(tmp_path / "a.png", 3)
    with pytest.raises(ChangedFileError, match=CHANGED):
        pairs.read_image("a.png")


@pytest.mark.parametrize(("image", "value"), [("a", 1), ("scan", 1)])
def test_a_replaced_label_is_not_read(tmp_path: Path, image: str, value: int) -> None:
    write(tmp_path / "a.png", 1)
    labels, wanted = FolderMasks(str(tmp_path)), Wanted(image, (12, 16), {value: "a"})
    labels.digest(FileDigests())
    labels.read(wanted, ["mass"])
    write(tmp_path / "a.png", 3)
    with pytest.raises(ChangedFileError, match=CHANGED):
        labels.read(wanted, ["mass"])


def colour16(path: Path) -> None:
    write_png16(path, np.random.default_rng(0).integers(0, 65536, (6, 8, 3), dtype=np.uint16), colour_type=2)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(path, exif=exif)


@pytest.mark.parametrize(
    ("make", "suffix"), [(colour16, ".png"), (turned, ".png"), (turned, ".jpg"), (turned, ".tif")]
)
def test_bytes_are_decoded_as_the_file_is(tmp_path: Path, make: Callable[[Path], None], suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    make(path)
    files = VerifiedFiles()
    files.digest(path, FileDigests())
    assert (files.image(path) == read_image(path)).all()
    assert files.decoded(path).orientation == decode(path).orientation


def test_a_deleted_file_is_said_to_be_missing(tmp_path: Path) -> None:
    dataset = of_folder(tmp_path, ".png")
    dataset.image_digest("a", FileDigests())
    (tmp_path / "test_images" / "a.png").unlink()
    with pytest.raises(Exception, match="does not exist"):
        dataset.read_image("a")


def test_after_a_change_no_remembered_digest_is_trusted(tmp_path: Path) -> None:
    """A file of the same size and time is not read again, so its old digest would stop every further run."""
    path, cache = write(tmp_path / "a.bmp", 1), tmp_path / "digests.json"
    old = FileDigests(cache)
    first = old.of(path)
    old.save()
    write(path, 3)
    again = FileDigests(cache)
    assert again.of(path) == first
    with pytest.raises(ChangedFileError), again.trusted():
        raise ChangedFileError.of(path)
    assert FileDigests(cache).of(path) != first
