"""Which device computes bfloat16 natively, by what the system says of it."""

from pathlib import Path

import pytest
import torch

from medsam_exp.runtime import native_bf16 as asked
from medsam_exp.runtime.native_bf16 import native_bf16


@pytest.mark.parametrize(
    ("accelerator", "gpus", "capability", "flags", "expected"),
    [
        ("cpu", 1, 9.0, "sse avx512_bf16 amx_bf16", "a processor with amx_bf16"),
        ("cpu", 0, 0.0, "sse avx512_bf16", "a processor with avx512_bf16"),
        ("cpu", 0, 0.0, "sse avx512f", ""),
        ("gpu", 1, 8.0, "sse", "a GPU of compute capability 8.0"),
        ("cuda", 1, 7.5, "amx_bf16", ""),
        ("auto", 1, 7.5, "amx_bf16", ""),
        ("auto", 0, 9.0, "amx_bf16", "a processor with amx_bf16"),
        ("mps", 0, 0.0, "amx_bf16", ""),
    ],
)
def test_device_in_words(
    accelerator: str,
    gpus: int,
    capability: float,
    flags: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\nbugs : amx_bf16\n")
    monkeypatch.setattr(asked, "_PROCESSOR", tmp_path / "cpuinfo")
    driver_names(gpus, tmp_path, monkeypatch)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(asked, "oldest_capability", lambda: capability)
    assert native_bf16(accelerator) == expected


def test_gpus_that_torch_does_not_find_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("flags : amx_bf16\n")
    monkeypatch.setattr(asked, "_PROCESSOR", tmp_path / "cpuinfo")
    driver_names(1, tmp_path, monkeypatch)
    monkeypatch.setattr(asked, "oldest_capability", lambda: 9.0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert native_bf16("auto") == "a processor with amx_bf16"


def test_the_processor_does_not_speak_for_gpus_without_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("flags : amx_bf16\n")
    monkeypatch.setattr(asked, "_PROCESSOR", tmp_path / "cpuinfo")
    driver_names(0, tmp_path, monkeypatch)
    monkeypatch.setattr(asked, "GPU_DRIVERS", (tmp_path,))
    assert native_bf16("auto") == ""


def driver_names(gpus: int, trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a driver be there that names so many GPUs; no driver for none."""
    monkeypatch.setattr(asked, "GPU_DRIVERS", (trace,) * bool(gpus))
    monkeypatch.setattr(asked, "named_gpus", lambda: ("GPU-a",) * gpus)


def test_a_system_without_the_file_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "_PROCESSOR", tmp_path / "none")
    assert native_bf16("cpu") == ""
