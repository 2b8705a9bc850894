"""Each input is read in a forked process: what takes too long is killed, what takes too much memory is seen."""

import gc
import multiprocessing
import os
import resource
import shutil
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from medsam_exp.types import UserError
from tests.fuzz.reader import Reader, write_files

SLOWEST = 10.0
"""Seconds that one input may take."""
LARGEST = 2 << 30
"""Bytes of memory that reading one input may take at its peak."""
_BEYOND = LARGEST + (1 << 30)
"""Bytes after which the system gives no more."""
_NO_MEMORY = ("MemoryError", "allocate memory", "bad_alloc", "Cannot allocate", "out of memory")
_PACKAGE = "medsam_exp"

Outcome = Literal["valid", "refused", "raw", "slow", "big"]
Case = tuple[Reader, int]
"""A reader, and the number of its input."""


@dataclass(frozen=True)
class Result:
    """What came of one input.

    Attributes:
        outcome: `refused` is the one-line `UserError` that is wanted; `raw` is any other exception.
        said: the exception and where it was raised.
    """

    outcome: Outcome
    said: str = ""


_HUNG = Result("slow", "no answer; the process was killed")
_ENDED = Result("big", "the system ended the process")
_PATIENCE = 120
"""Seconds by the clock until a process that does not answer is killed: other work may slow this machine down."""


def results(cases: Sequence[Case], seed: int) -> Iterator[Result]:
    """What comes of each input, in order."""
    context = multiprocessing.get_context("fork")
    done = 0
    gc.collect()
    gc.freeze()  # so that a worker's own collections look at its own objects alone
    with tempfile.TemporaryDirectory(prefix="fuzz_") as root:
        while done < len(cases):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(cases[done:], seed, Path(root), theirs))
            process.start()
            theirs.close()
            while done < len(cases):
                result = _received(ours)
                done += 1
                yield result
                if result in (_HUNG, _ENDED):
                    break
            process.kill()
            process.join()


def one(reader: Reader, number: int, seed: int) -> Result:
    """What comes of one input."""
    return next(results([(reader, number)], seed))


def _received(connection: Connection) -> Result:
    if not connection.poll(_PATIENCE):
        return _HUNG
    try:
        result: Result = connection.recv()
    except EOFError:
        return _ENDED
    return result


def _work(cases: Sequence[Case], seed: int, root: Path, connection: Connection) -> None:
    _limit_memory()
    _refuse_sockets()
    for reader, number in cases:
        folder = root / "input"
        shutil.rmtree(folder, ignore_errors=True)
        write_files(reader.mutated(number, seed), folder)
        connection.send(measured(reader, folder))
    connection.close()
    os._exit(0)  # without what libraries do at an end


def peak_of(work: Callable[[], object]) -> int:
    """Bytes by which the resident memory of a process of its own grows at most while it works."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def measure() -> None:
        before = _resident("VmRSS")
        _forget_peak()
        work()
        theirs.send(_resident("VmHWM") - before)

    process = context.Process(target=measure)
    process.start()
    process.join()
    assert ours.poll(), "the work failed"
    result: int = ours.recv()
    return result


def measured(reader: Reader, folder: Path) -> Result:
    """Read what lies in a folder, with an eye on memory and time."""
    _forget_peak()
    before, started = _resident("VmRSS"), _processor_seconds()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        result = _outcome(reader, folder)
    taken, grown = _processor_seconds() - started, _resident("VmHWM") - before
    if result.outcome == "big" or grown > LARGEST:
        return Result("big", f"{grown / 2**20:.0f} MiB; {result.said}")
    return Result("slow", f"{taken:.1f} s; {result.said}") if taken > SLOWEST else result


def _outcome(reader: Reader, folder: Path) -> Result:
    _asked.clear()
    result = _of_reading(reader, folder)
    return Result("raw", f"it asked the network: {result.said}") if _asked else result


def _of_reading(reader: Reader, folder: Path) -> Result:
    try:
        reader.read(folder)
    except UserError as error:
        if _lacked_memory(error):
            return Result("big", str(error))
        first, *table = str(error).split("\n")
        if not first.isprintable() or not all(line.startswith("  ") for line in table):
            return Result("raw", f"a sentence with odd signs: {str(error)!r:.300}")
        return Result("refused", str(error))
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:120]} at {_place(error)}"
        return Result("big" if _lacked_memory(error) else "raw", said)
    return Result("valid")


def _lacked_memory(error: BaseException | None) -> bool:
    """Whether the limit on memory was met on the way to an error."""
    while error is not None:
        if any(word in f"{type(error).__name__} {error}" for word in _NO_MEMORY):
            return "too complex" not in str(error)  # what Python's parser says of deep nesting
        error = error.__cause__ or error.__context__
    return False


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"/{_PACKAGE}/" in frame.filename] or frames
    return f"{own[-1].filename.rpartition(f'/{_PACKAGE}/')[2]}:{own[-1].lineno}"


def _limit_memory() -> None:
    now = _resident("VmData")
    resource.setrlimit(resource.RLIMIT_DATA, (now + _BEYOND, now + _BEYOND))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


_asked: list[str] = []
"""What was asked of the network while an input was read."""


def _refuse_sockets() -> None:
    def refuse(*given: object, **_: object) -> None:
        _asked.append(str(given))
        raise OSError("no network is here")

    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, refuse)
    socket.getaddrinfo = refuse  # type: ignore[assignment]


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew


def _resident(name: str) -> int:
    """Bytes that the system says of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
