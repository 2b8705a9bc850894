"""This machine's NVIDIA GPUs, asked of the driver's own tool: neither torch nor CUDA is woken."""

import os
import shutil
import subprocess
from collections.abc import Sequence


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    return allowed_gpus(_asked("uuid"), os.environ.get("CUDA_VISIBLE_DEVICES"))


def oldest_capability() -> float:
    """Smallest CUDA compute capability among the machine's GPUs, as in 8.0 for Ampere; 0 where none answers."""
    found = _asked("compute_cap")
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


def _asked(field: str) -> list[str]:
    """What nvidia-smi says of each GPU; nothing where there is no such tool, or no such field."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return [] if answer.returncode else answer.stdout.split()
