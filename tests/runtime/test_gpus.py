"""GPUs as the driver's tool names them; a stand-in plays it, so no GPU is needed."""

import os
from pathlib import Path

import pytest

from medsam_exp.runtime.gpus import allowed_gpus, oldest_capability, visible_gpus

POOL = ["GPU-a", "GPU-b", "GPU-c"]
VISIBLE = "CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, POOL),
        ("0,2", ["GPU-a", "GPU-c"]),
        ("GPU-b", ["GPU-b"]),
        (" 1 , 0 ", ["GPU-b", "GPU-a"]),
        ("", []),
        ("-1", []),
        ("0,9,1", ["GPU-a"]),
        ("MIG-x/1", ["MIG-x/1"]),
    ],
)
def test_only_the_gpus_that_the_user_allows_are_shared_out(visible: str | None, expected: list[str]) -> None:
    assert allowed_gpus(POOL, visible) == expected


def test_gpus_are_asked_of_the_driver_without_waking_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver_says(["GPU-a", "GPU-b"], tmp_path, monkeypatch)
    monkeypatch.setenv(VISIBLE, "1")
    assert visible_gpus() == ["GPU-b"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [(["9.0", "8.6"], 8.6), (["12.0"], 12.0), (["[N/A]", "8.0"], 0.0), ([], 0.0)],
)
def test_the_oldest_gpu_decides(
    said: list[str], expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver_says(said, tmp_path, monkeypatch)
    assert oldest_capability() == expected


def driver_says(lines: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nvidia-smi answer so."""
    tool = folder / "nvidia-smi"
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
