"""Whether the device of a run computes bfloat16 natively; neither torch nor CUDA is woken for it."""

from pathlib import Path

from medsam_exp.runtime.gpus import oldest_capability, visible_gpus

_PROCESSOR = Path("/proc/cpuinfo")
_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
_AMPERE = 8.0
"""Compute capability from which NVIDIA's GPUs compute bfloat16 natively."""


def native_bf16(accelerator: str) -> str:
    """Which part of a device computes bfloat16 natively, in words; "" where none is known to.

    Args:
        accelerator: as of Lightning's Trainer; what is neither a CPU nor an NVIDIA GPU is not known.
    """
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and visible_gpus()):
        capability = oldest_capability()
        return f"a GPU of compute capability {capability}" if capability >= _AMPERE else ""
    return _processors_instruction() if accelerator in ("cpu", "auto") else ""


def _processors_instruction() -> str:
    """Of Linux on x86; elsewhere the speed is not known."""
    content = _PROCESSOR.read_text() if _PROCESSOR.is_file() else ""
    flags = next((line.split() for line in content.splitlines() if line.startswith("flags")), [])
    known = next((name for name in _INSTRUCTIONS if name in flags), "")
    return f"a processor with {known}" if known else ""
