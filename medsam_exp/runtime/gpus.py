"""This machine's NVIDIA GPUs, asked of the driver's own tool: neither torch nor CUDA is woken."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

GPU_DRIVERS = tuple(map(Path, ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
"""What the drivers of GPUs leave on Linux: NVIDIA's, in a container, under Windows, AMD's."""
_SECONDS_TO_ANSWER = 30
"""Without persistence mode the driver first wakes every GPU."""


def named_gpus() -> tuple[str, ...]:
    """Names of all GPUs of this machine; none where the driver's tool does not answer."""
    return _asked("uuid")


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    return allowed_gpus(named_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def oldest_capability() -> float:
    """Smallest CUDA compute capability among the visible GPUs, as in 8.0 for Ampere; 0 where it is not known.

    A part of a GPU (MIG) does not tell whose it is, and counts as part of the oldest.
    """
    of_each = list(
        zip(named_gpus(), _asked("compute_cap"), strict=False)
    )  # an old driver does not know the field
    found = [
        capability
        for name in visible_gpus()
        for uuid, capability in of_each
        if uuid.startswith(name) or name.startswith("MIG-")
    ]
    return min(map(float, found)) if found and all(each.replace(".", "").isdigit() for each in found) else 0.0


def allowed_gpus(present: Sequence[str], visible: str | None) -> list[str]:
    """Those of the machine's GPUs (by number in the order of `present`, or by name) that a variable allows.

    Args:
        present: names of all, in the order of their numbers.
        visible: value of CUDA_VISIBLE_DEVICES; None when it is not set. What follows an unknown entry does not count,
            as for CUDA itself.
    """
    if visible is None:
        return list(present)
    allowed = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdigit() and int(entry) < len(present):
            allowed.append(present[int(entry)])
        elif entry.startswith(("GPU-", "MIG-")):
            allowed.append(entry)
        else:
            break
    return allowed


def _asked(field: str) -> tuple[str, ...]:
    """What nvidia-smi says of each GPU; nothing where there is no such tool, no such field, or no answer in time."""
    tool = shutil.which("nvidia-smi")
    return _answer(tool, field) if tool else ()


@cache
def _answer(tool: str, field: str) -> tuple[str, ...]:
    """Asked once a process, so that all stages of a run are given the same answer."""
    query = [tool, f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            query, capture_output=True, text=True, check=False, timeout=_SECONDS_TO_ANSWER
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return () if answer.returncode else tuple(line.strip() for line in answer.stdout.splitlines())
