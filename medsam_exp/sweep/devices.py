"""GPUs and threads of a job that shares its machine with other jobs."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from medsam_exp.runtime.locks import acquired, waiting_lock
from medsam_exp.types import UserError

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


_LOCKS = Path(tempfile.gettempdir()) / f"medsam_exp_gpus_{os.getuid()}"
"""Folder of this user's locks of this machine's GPUs, the same for every sweep."""


@contextmanager
def reserved_gpus(count: int, pool: Sequence[str], folder: Path = _LOCKS) -> Iterator[list[str]]:
    """Reserve `count` GPUs of a pool; this process and those it starts see no others.

    One process waits at a time, so no two wait for each other.

    Args:
        count: how many.
        pool: their names, from `visible_gpus`.
        folder: of the locks; the locks of a process that died are free.

    Yields:
        Their names.

    Raises:
        UserError: there are fewer.
    """
    if count > len(pool):
        raise UserError(f"trainer.devices={count}, but this machine lets this sweep use {len(pool)} GPUs")
    if not count:
        yield []
        return
    with ExitStack() as held:
        with waiting_lock(folder / "next.lock", f"job          waits for {count} of {len(pool)} GPUs"):
            names: list[str] = []
            while len(names) < count:
                for name in pool:
                    if (
                        len(names) < count
                        and name not in names
                        and (lock := acquired(folder / f"{name}.lock"))
                    ):
                        held.callback(lock.release)
                        names.append(name)
                if len(names) < count:
                    time.sleep(_SECONDS_BETWEEN_LOOKS)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
        yield names


def limit_threads(count: int) -> None:
    """Let the libraries of this process, and the processes that it starts, use so many threads each."""
    import threadpoolctl  # type: ignore[import-untyped]
    import torch

    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(count)))  # for what is started or loaded later
    threadpoolctl.threadpool_limits(count)  # for what is loaded already
    torch.set_num_threads(count)
