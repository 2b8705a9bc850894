"""One image file as a dataset."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.image import ImageDataset
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import UserError
from tests.data.volumes.synthetic import dicom_image


def test_it_is_one_sample_with_the_files_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.b.png")
    data = ImageDataset(str(tmp_path / "a.b.png"), class_name="benign", spacing_mm=[0.5, 1])
    assert [(sample.id, sample.class_name) for sample in data.samples] == [("a.b", "benign")]
    assert np.array_equal(data.read_image("a.b"), pixels)
    assert data.image_digest("a.b", FileDigests()) == FileDigests().of(tmp_path / "a.b.png")
    with pytest.raises(UserError, match="no true mask"):
        data.read_ground_truth("a.b")


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        ImageDataset(str(tmp_path))
    with pytest.raises(UserError, match=r"no\.png does not exist"):
        ImageDataset(str(tmp_path / "no.png"))


def test_a_dicom_file_says_how_large_its_pixels_are(tmp_path: Path) -> None:
    dicom_image(tmp_path / "a.dcm", np.arange(35, dtype=np.int16).reshape(5, 7), PixelSpacing=[0.8, 0.5])
    assert ImageDataset(str(tmp_path / "a.dcm")).pixel_spacing_mm("a") == (0.8, 0.5)
    assert ImageDataset(str(tmp_path / "a.dcm"), spacing_mm=[1, 2]).pixel_spacing_mm("a") == (1.0, 2.0)
    for wrong in ([1.0], [1.0, 0.0]):
        with pytest.raises(UserError, match=r"data\.spacing_mm is"):
            ImageDataset(str(tmp_path / "a.dcm"), spacing_mm=wrong)
