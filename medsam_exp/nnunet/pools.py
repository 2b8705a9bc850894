"""How many processes nnU-Net's verification, planning and preprocessing may start; none by default.

nnU-Net starts a pool of fresh Python processes for each of these steps. Each imports torch anew, so a few hundred
images wait longer for the processes than for the work.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.pool import Pool, ThreadPool
from types import SimpleNamespace
from typing import Any

from medsam_exp.runtime.extras import require

_SPAWNING_MODULES = (
    "nnunetv2.experiment_planning.verify_dataset_integrity",
    "nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor",
    "nnunetv2.preprocessing.preprocessors.default_preprocessor",
)
_FORKING_MODULE = "nnunetv2.utilities.utils"  # lists files with twelve forks of a process that may hold a GPU


@contextmanager
def in_process_pools(processes: int) -> Iterator[None]:
    """Let nnU-Net's pools be a thread of this process, or so many processes, whatever number it asks for.

    The results are the same. nnU-Net's modules are put back afterwards, also when a step fails.

    Args:
        processes: 0 works in this process, one case after the other; n starts n fresh ones for each step.

    Raises:
        UserError: nnU-Net is not installed.
        ValueError: the number is negative.
    """
    require("nnunetv2")
    if processes < 0:
        raise ValueError(f"{processes} processes cannot be started")
    replaced: list[tuple[Any, str, Any]] = []

    def replace(module_name: str, attribute: str, value: Any) -> None:
        module = import_module(module_name)
        replaced.append((module, attribute, getattr(module, attribute)))
        setattr(module, attribute, value)

    try:
        for name in _SPAWNING_MODULES:
            replace(name, "multiprocessing", _stand_in(processes))
        replace(_FORKING_MODULE, "Pool", _thread)
        yield
    finally:
        for module, attribute, value in reversed(replaced):
            setattr(module, attribute, value)


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
