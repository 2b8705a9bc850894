"""Kept images are those of the dataset, as many as fit, and never those of a file that was replaced."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.folder import FolderDataset
from medsam_exp.data.kept_images import KeptImages
from medsam_exp.runtime.digests import ChangedFileError, FileDigests

EACH = 20 * 30 * 3
"""Bytes of a decoded image."""


def write(root: Path, number: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(root / "test_images" / f"s{number}.png")


@pytest.fixture
def dataset(tmp_path: Path) -> FolderDataset:
    (tmp_path / "test_images").mkdir()
    for number in range(3):
        write(tmp_path, number, number)
    return FolderDataset("three", str(tmp_path), "test")


@pytest.mark.parametrize(("most_bytes", "decoded"), [(3 * EACH, 3), (2 * EACH, 4), (EACH - 1, 6), (0, 6)])
def test_each_is_decoded_once_as_far_as_there_is_room(
    dataset: FolderDataset, monkeypatch: pytest.MonkeyPatch, most_bytes: int, decoded: int
) -> None:
    expected = {sample.id: dataset.read_image(sample.id) for sample in dataset.samples}
    calls: list[str] = []
    read = dataset.read_image
    monkeypatch.setattr(dataset, "read_image", lambda name: calls.append(name) or read(name))
    kept = KeptImages(dataset, FileDigests(), most_bytes)
    for _ in range(2):
        for name, image in expected.items():
            given = kept(name)
            assert np.array_equal(given, image)
            given[:] = 0  # the caller's own
    assert len(calls) == decoded


def test_a_file_that_was_replaced_is_not_answered_from_memory(tmp_path: Path, dataset: FolderDataset) -> None:
    digests = FileDigests()
    for sample in dataset.samples:
        dataset.image_digest(sample.id, digests)
    kept = KeptImages(dataset, digests)
    before = kept("s1")
    write(tmp_path, 1, 7)
    with pytest.raises(ChangedFileError, match=r"s1\.png was changed while the run was at work"):
        kept("s1")
    write(tmp_path, 1, 1)
    assert np.array_equal(kept("s1"), before)
