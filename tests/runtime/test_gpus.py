"""GPUs as the driver's tool names them; a stand-in plays it, so no GPU is needed."""

import os
from pathlib import Path

import pytest

from medsam_exp.runtime import gpus
from medsam_exp.runtime.gpus import allowed_gpus, named_gpus, oldest_capability, visible_gpus

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
    driver_says({"uuid": ["GPU-a", "GPU-b"]}, tmp_path, monkeypatch)
    monkeypatch.setenv(VISIBLE, "1")
    assert visible_gpus() == ["GPU-b"]


@pytest.mark.parametrize(
    ("said", "visible", "expected"),
    [
        (["9.0", "8.6"], None, 8.6),
        (["12.0"], None, 12.0),
        (["[Not Supported]", "8.0"], None, 0.0),
        ([], None, 0.0),
        (["9.0", "7.5"], "0", 9.0),
        (["9.0", "7.5"], "GPU-b", 7.5),
        (["9.0", "7.5"], "MIG-x", 7.5),
        (["9.0", "7.5"], "", 0.0),
    ],
)
def test_the_oldest_visible_gpu_decides(
    said: list[str],
    visible: str | None,
    expected: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    driver_says({"uuid": ["GPU-a", "GPU-b"], "compute_cap": said}, tmp_path, monkeypatch)
    assert oldest_capability() == expected


def test_the_first_answer_holds_for_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver_says({"uuid": ["GPU-a"]}, tmp_path, monkeypatch)
    assert named_gpus() == ("GPU-a",)
    driver_says({"uuid": []}, tmp_path, monkeypatch)
    assert named_gpus() == ("GPU-a",)


def test_a_driver_that_does_not_answer_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver_says({"uuid": ["GPU-a"]}, tmp_path, monkeypatch)
    monkeypatch.setattr(gpus, "_SECONDS_TO_ANSWER", 0)
    assert named_gpus() == ()


def driver_says(of_field: dict[str, list[str]], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nvidia-smi answer so, by the field that is asked for."""
    for field, lines in of_field.items():
        (folder / f"--query-gpu={field}").write_text("".join(f"{line}\n" for line in lines))
    tool = folder / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\nexec cat "{folder}/$1"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
