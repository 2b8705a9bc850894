"""Small raw datasets, and nnU-Net's environment set to a temporary folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medsam_exp.nnunet.raw_dataset import RawDataset, write_raw_dataset


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
