"""Small raw datasets, and nnU-Net's environment set to a temporary folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medsam_exp.nnunet.raw_dataset import Case, RawDataset, write_raw_dataset


def gray_case(name: str, seed: int = 0, size: tuple[int, int] = (48, 40), classes: int = 1) -> Case:
    """A noisy image with one bright disc per class."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices(size)
    pixels = generator.integers(0, 80, size).astype(np.uint8)
    label = np.zeros(size, np.uint8)
    for value in range(1, classes + 1):
        centre = np.array(size) * value / (classes + 1)
        disc = np.hypot(rows - centre[0], columns - centre[1]) < min(size) / 6
        label[disc] = value
        pixels[disc] += 100
    return Case(name, np.repeat(pixels[..., None], 3, axis=-1), label)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., RawDataset]:
    """Write cases, by default with one class, below tmp_path."""
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")

    def write(cases, labels=None) -> RawDataset:
        return write_raw_dataset(tmp_path, "toy", cases, labels or {"background": 0, "tumor": 1})

    return write


@pytest.fixture
def nnunet_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    return tmp_path
