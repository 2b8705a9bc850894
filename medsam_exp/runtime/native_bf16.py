"""Whether the device of a run computes bfloat16 natively; CUDA is not woken for it, as a sweep forks afterwards."""

from functools import cache
from pathlib import Path

from medsam_exp.runtime.gpus import GPU_DRIVERS, named_gpus, oldest_capability

TF32 = "tf32"
"""The precision in which NVIDIA's GPUs round what enters float32 products (`medsam_exp.training.precision`)."""
_PROCESSOR = Path("/proc/cpuinfo")
_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
_AMPERE = 8.0
"""Compute capability from which NVIDIA's GPUs compute bfloat16 natively."""


def native_bf16(accelerator: str) -> str:
    """Which part of a device computes bfloat16 natively, in words; "" where none is known to.

    Args:
        accelerator: as of Lightning's Trainer; what is neither a CPU nor an NVIDIA GPU is not known.
    """
    taken = _taken_by_auto() if accelerator == "auto" else accelerator
    if taken in ("gpu", "cuda"):
        capability = oldest_capability()
        return f"a GPU of compute capability {capability}" if capability >= _AMPERE else ""
    return _processors_instruction() if taken == "cpu" else ""


def _taken_by_auto() -> str:
    """What Lightning takes for "auto"; "" where a driver is there, but does not name its GPUs (as AMD's)."""
    if not any(trace.exists() for trace in GPU_DRIVERS):
        return "cpu"
    if not named_gpus():
        return ""
    import torch  # takes seconds, which a machine without GPUs need not wait for

    return "gpu" if torch.cuda.device_count() else "cpu"  # 0 too where torch was built without CUDA


def processor_facts() -> dict[str, str]:
    """What Linux says of the first processor, by name, such as "model name" and "flags"; nothing elsewhere."""
    content = _PROCESSOR.read_text() if _PROCESSOR.is_file() else ""
    facts: dict[str, str] = {}
    for line in content.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    return facts


@cache
def has_amx() -> bool:
    """Whether the processor multiplies whole tiles of bfloat16 at once; False where it is not known (not Linux)."""
    return "amx_bf16" in processor_facts().get("flags", "").split()


def _processors_instruction() -> str:
    """Of Linux on x86; elsewhere the speed is not known."""
    flags = processor_facts().get("flags", "").split()
    known = next((name for name in _INSTRUCTIONS if name in flags), "")
    return f"a processor with {known}" if known else ""
