"""Several processes for one job: who am I, wait for all, tell all.

A job with several devices runs as a process group of its own (`launch`) that executes exactly that job. A process
that dies takes the group down, so a job never ends half done without saying so; and the group goes with who launched
it. `python -m medsam_exp.runtime.distributed ARGUMENTS` is torchrun that does so.
"""

import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from medsam_exp.runtime.disk_faults import disk_fault
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.interrupts import ENDED_BY_SIGNAL, Stopped, die_with_parent, stops_when_asked
from medsam_exp.runtime.nodes import Nodes

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

_SECONDS_TO_END = 3.0
"""A process that was asked to stop and has not by then is cut off; less than what its launcher has."""
_SECONDS_FOR_THE_GROUP = 10.0
_STARTER = "MEDSAM_EXP_STARTED_BY"
"""Variable of the shell's kind: number of the process that started this one, which may be gone when it looks."""
_GONE = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "NCCL communicator was aborted",
)
"""What gloo and NCCL say where a process is gone that they wait for."""
_IN_A_ROW = 32
"""Items that a process takes in a row, so that stages of unlike batches give it the same images, which it keeps."""
_MANY = 1024
"""Items of each process from which on a few more or less do not count."""

T = TypeVar("T")


def _group() -> ModuleType | None:
    """`torch.distributed` in a process that has joined others; one that never imported it has not."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_initialized() else None


def rank() -> int:
    """Number of this process within its job; 0 when there is only one."""
    return group.get_rank() if (group := _group()) else 0


def world_size() -> int:
    """Number of processes of this job."""
    return group.get_world_size() if (group := _group()) else 1


def processes_here() -> int:
    """Number of processes of this job on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size())) if _group() else 1


def own_starts(count: int, at_once: int = 1) -> list[int]:
    """Where this process's share of a job's items begins, for every so many of them.

    Processes take turns, so that shares are about equally long, and those of many items about the same whatever
    `at_once` is.

    Args:
        count: items of the whole job.
        at_once: items from each start on; those of the last are fewer.
    """
    row = at_once * max(1, _IN_A_ROW // at_once if count >= _MANY * world_size() else 1)
    return [start for start in range(0, count, at_once) if start // row % world_size() == rank()]


def barrier() -> None:
    """Wait until every process of the job has come here."""
    if group := _group():
        group.barrier()


def from_rank_zero(value: T) -> T:
    """The value that process 0 has, on every process."""
    if (group := _group()) is None:
        return value
    box = [value]
    group.broadcast_object_list(box, src=0)
    return box[0]


def to_rank_zero(value: T) -> list[T]:
    """The values of all processes in order of rank, on process 0; nothing on the others."""
    if (group := _group()) is None:
        return [value]
    gathered: list[T | None] | None = [None] * world_size() if rank() == 0 else None
    group.gather_object(value, gathered)
    return gathered or []  # type: ignore[return-value]


def to_all(value: T) -> list[T]:
    """The values of all processes in order of rank, on every process."""
    if not (group := _group()):
        return [value]
    gathered: list[Any] = [None] * world_size()
    group.all_gather_object(gathered, value)
    return gathered


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Run a block on process 0, then on the others (who find its downloads and caches)."""
    if rank() != 0:
        barrier()
    yield
    if rank() == 0:
        barrier()


def work_as_member(work: Callable[[], None]) -> NoReturn:
    """Join the process group that `launch` made, do this process's part of the work, and end the process.

    The process ends without tearing its group down, and without the interpreter's own end: taking a group down
    while others still use it (one process fails, the others wait for it), or while a network wrapped for
    several processes is alive, may never return. The launcher ends the others when one has failed.
    """
    die_with_parent(_starter())
    code = 1
    try:
        with stops_when_asked(None, _SECONDS_TO_END):
            if "TORCHELASTIC_RUN_ID" in os.environ:
                _join()
            work()
            barrier()  # no process goes while another may still read from it
        code = 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except Stopped as error:
        code = error.exit_code
    except BaseException as error:
        if said := disk_fault(error) or _of_another(error):
            print(f"error: {said}", file=sys.stderr)
        else:
            traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _of_another(error: BaseException) -> str | None:
    """The sentence about a process that this one was to exchange something with; None of an error of its own."""
    gone = isinstance(error, RuntimeError) and any(words in str(error) for words in _GONE)
    return "another process of this job ended before this one was done with it" if gone else None


def _starter() -> int:
    """Number of the process that has started this one."""
    return int(os.environ.get(_STARTER, os.getppid()))


def _join() -> None:
    import torch
    import torch.distributed as dist

    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # The others wait while the first one prepares data, which may take hours.
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timedelta(hours=24))


def torchrun_command(
    module: str, arguments: Sequence[str], processes: int, nodes: Nodes | None = None
) -> list[str]:
    """What starts `python -m module arguments` as a group of processes.

    Args:
        module: that each process runs.
        arguments: of the module.
        processes: on each machine.
        nodes: the job's machines, where it has several; each must start its own part.
    """
    where = ["--standalone"]
    if nodes is not None:
        where = [
            f"--nnodes={nodes.count}",
            f"--node_rank={nodes.own}",
            f"--master_addr={nodes.first}",
            f"--master_port={nodes.port}",
        ]
    count = f"--nproc_per_node={processes}"
    return [sys.executable, "-m", "medsam_exp.runtime.distributed", *where, count, "-m", module, *arguments]


def launch(module: str, arguments: Sequence[str], processes: int, nodes: Nodes | None = None) -> int:
    """Run `python -m module arguments` as a group of processes; what ends this process ends the group.

    Returns:
        The exit code; non-zero when any process failed.
    """
    command = torchrun_command(module, arguments, processes, nodes)
    environment = os.environ | {_STARTER: str(os.getpid())}
    group = subprocess.Popen(
        command, process_group=0, env=environment
    )  # Ctrl-C is for this process to pass on
    try:
        return group.wait()
    except BaseException:
        group.terminate()  # a killed torchrun would leave its processes behind
        try:
            group.wait(_SECONDS_FOR_THE_GROUP)
        except subprocess.TimeoutExpired:
            group.kill()
        raise


def main(arguments: Sequence[str] | None = None) -> None:
    """Run torchrun, which ends its processes when it is asked to stop, and is so when its parent is gone."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    die_with_parent(_starter())
    os.environ[_STARTER] = str(os.getpid())
    logging.disable(logging.ERROR)  # of its own stopping it makes six
    try:
        run.main(arguments)
    except ChildFailedError as error:  # it prints tables about processes, which have said what was wrong
        first = _first_failure(error.failures)
        if first.exitcode < 0:  # this one has not
            by = signal.Signals(-first.exitcode).name
            memory = ", perhaps for want of memory" if by == "SIGKILL" else ""
            print(
                f"error: process {first.local_rank} of this job was killed by {by}{memory}", file=sys.stderr
            )
        os._exit(1)
    except SignalException as error:
        os._exit(ENDED_BY_SIGNAL + error.sigval)  # the interpreter's own end takes seconds


def _first_failure(failures: "Mapping[int, ProcessFailure]") -> "ProcessFailure":
    """The process that failed first; of those of one second, one that a signal ended, unless it was asked to stop."""
    return min(
        failures.values(),
        key=lambda failure: (
            failure.timestamp,
            failure.exitcode >= 0 or failure.exitcode == -signal.SIGTERM,
        ),
    )


if __name__ == "__main__":
    main()
