"""Hardware and software of this machine: processors, memory, disk, GPUs, versions; what is unknown is left out."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medsam_exp.runtime.extras import EXTRAS
from medsam_exp.runtime.gpus import GPU_DRIVERS

_PROC = Path("/proc/meminfo")
_VERSIONS = ("medsam-exp", "torch", "torchvision", "open_clip_torch", "segment-anything", "pytorch-lightning")


@dataclass(frozen=True)
class Gpu:
    """One accelerator.

    Attributes:
        name: as its maker gives it.
        total: bytes of memory; None where unknown.
        free: of these, now.
    """

    name: str
    total: int | None = None
    free: int | None = None


@dataclass(frozen=True)
class Machine:
    """What was found.

    Attributes:
        system: name and version of the operating system.
        python: version.
        cores: processors that this process may use.
        memory: bytes of memory, None where unknown.
        memory_free: of these, now.
        disk_free: bytes free, by folder.
        gpus: that torch can use.
        gpu_note: why there are none, or another remark; may be empty.
        versions: of packages that matter, and of CUDA.
        optional: whether a package is installed, by its name.
    """

    system: str
    python: str
    cores: int
    memory: int | None
    memory_free: int | None
    disk_free: dict[str, int]
    gpus: tuple[Gpu, ...]
    gpu_note: str
    versions: dict[str, str]
    optional: dict[str, bool]


def look(folders: dict[str, Path]) -> Machine:
    """Look at this machine.

    Args:
        folders: whose disks count, by what they are for.
    """
    gpus, note, cuda = _or(((), "torch cannot be asked for GPUs", {}), _gpus)
    memory = _or({}, _memory)
    disks = {what: _or(None, _free, folder) for what, folder in folders.items()}
    versions = {name: _or("", importlib.metadata.version, name) for name in _VERSIONS}
    return Machine(
        system=_or("unknown", platform.platform),
        python=platform.python_version(),
        cores=_or(os.cpu_count() or 1, _cores),
        memory=memory.get("MemTotal"),
        memory_free=memory.get("MemAvailable"),
        disk_free={what: free for what, free in disks.items() if free is not None},
        gpus=gpus,
        gpu_note=note,
        versions={name: version for name, version in versions.items() if version} | cuda,
        optional={name: _or(None, find_spec, name) is not None for name in EXTRAS},
    )


def _or(otherwise: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, or something else where this machine cannot answer."""
    try:
        return ask(*arguments)
    except Exception:  # the report must not fail on an unusual machine
        return otherwise


def _gpus() -> tuple[tuple[Gpu, ...], str, dict[str, str]]:
    driver = shutil.which("nvidia-smi") is not None or any(each.exists() for each in GPU_DRIVERS)
    if sys.platform == "linux" and not driver:
        return (), "", {}
    import torch  # takes seconds, which a machine without a driver need not wait for

    built_for = {"CUDA of torch": torch.version.cuda} if torch.version.cuda else {}
    if torch.cuda.is_available():
        found = tuple(_or(Gpu("unknown"), _cuda, n) for n in range(torch.cuda.device_count()))
        return found, "", built_for
    if torch.backends.mps.is_available():
        return (Gpu("Apple's, through Metal"),), "", built_for
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        why = "there is an NVIDIA driver, but torch finds no GPU: its CUDA may not fit the driver"
        return (), f"{why} (make setup TORCH_BACKEND=cu126 takes another build)", built_for
    return (), "", built_for


def _cuda(number: int) -> Gpu:
    import torch

    free, total = torch.cuda.mem_get_info(number)
    return Gpu(torch.cuda.get_device_name(number), total, free)


def _memory() -> dict[str, int]:
    if _PROC.is_file():
        rows = (line.split() for line in _PROC.read_text().splitlines())
        return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) > 1}
    return {"MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _free(folder: Path) -> int:
    """Bytes free on the disk where a folder is, or will be."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free
