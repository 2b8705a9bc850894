"""Which device computes bfloat16 natively, by what the system says of it."""

from pathlib import Path

import pytest

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
    monkeypatch.setattr(asked, "visible_gpus", lambda: ["GPU-a"] * gpus)
    monkeypatch.setattr(asked, "oldest_capability", lambda: capability)
    assert native_bf16(accelerator) == expected


def test_a_system_without_the_file_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "_PROCESSOR", tmp_path / "none")
    assert native_bf16("cpu") == ""
