"""nnU-Net's environment, set for one block of code: its folders, its processes, its console noise."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from importlib import import_module
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from medsam_exp.runtime.extras import require

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
DATASET_ID = 1
"""Of the one dataset in a folder of ours; the number means nothing beyond that folder."""
_SPAWNING_MODULES = (
    "nnunetv2.experiment_planning.verify_dataset_integrity",
    "nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor",
    "nnunetv2.preprocessing.preprocessors.default_preprocessor",
)
_FORKING_MODULE = "nnunetv2.utilities.utils"  # lists files with twelve forks of a process that may hold a GPU


@contextmanager
def nnunet_folders(root: Path, raw: Path | None = None, log_file: Path | None = None) -> Iterator[None]:
    """Let nnU-Net find its folders below `root`, and write what it prints to a file.

    The shell's own settings of nnU-Net are put back afterwards.

    Args:
        root: holds nnUNet_raw, nnUNet_preprocessed and nnUNet_results.
        raw: folder of raw datasets that lies elsewhere.
        log_file: receives nnU-Net's console output; None leaves it on the console.
    """
    wanted = {RAW: raw or root / RAW, PREPROCESSED: root / PREPROCESSED, RESULTS: root / RESULTS}
    settings = {name: str(folder.resolve()) for name, folder in wanted.items()}
    settings["nnUNet_n_proc_DA"] = "1"  # planning divides by it
    settings["nnUNet_wandb_enabled"] = "0"
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        if log_file is None:
            yield
            return
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a") as sink, redirect_stdout(sink):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def dataset_folder(parent: Path) -> Path:
    """The one dataset's folder below nnUNet_raw, nnUNet_preprocessed or nnUNet_results."""
    return next(parent.glob(f"Dataset{DATASET_ID:03d}_*"))


def find_in(package: str, name: str) -> Any:
    """What has a name in a package, or in one below it, as nnU-Net looks it up; None where there is none."""
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    return recursive_find_python_class(str(import_module(package).__path__[0]), name, package)


@contextmanager
def in_process_pools(processes: int) -> Iterator[None]:
    """Replace nnU-Net's process pools by a thread of this process, or by a fixed number of processes.

    nnU-Net starts a pool of fresh processes for each of verification, planning and preprocessing; each imports torch
    anew, so a few hundred images wait longer for the processes than for the work. The results are the same.
    nnU-Net's modules are put back afterwards, also when a step fails.

    Args:
        processes: 0 works in this process, one case after the other; n starts n fresh ones for each step.

    Raises:
        UserError: nnU-Net is not installed.
    """
    require("nnunetv2")
    with ExitStack() as replaced:
        for name in _SPAWNING_MODULES:
            replaced.enter_context(patch(f"{name}.multiprocessing", _stand_in(processes)))
        replaced.enter_context(patch(f"{_FORKING_MODULE}.Pool", _thread))
        yield


def _stand_in(processes: int) -> SimpleNamespace:
    """What nnU-Net uses of the module `multiprocessing`: `get_context("spawn").Pool(n)`."""
    pool: Callable[..., Pool] = _thread
    if processes:
        spawn = multiprocessing.get_context("spawn")

        def pool(*_: Any, **__: Any) -> Pool:
            return spawn.Pool(processes)

    return SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=pool))


def _thread(*_: Any, **__: Any) -> ThreadPool:
    return ThreadPool(1)
