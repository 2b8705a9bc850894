"""A request to stop ends whatever runs, in seconds, after one sentence: Ctrl-C, or SIGTERM of a cluster or W&B agent.

The request unwinds the main thread as an error would, so that trackers are closed, locks are freed and child processes
are ended; what does not unwind in time is cut off. As results are written atomically, the former loses nothing that was
finished, and the latter the last two seconds at most. The exit code is 128 and the signal's number, as shells have it:
130 for Ctrl-C, 143 for SIGTERM.
"""

import atexit
import ctypes
import logging
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDED_BY_SIGNAL = 128
"""A process that a signal ends in good order leaves with this and the signal's number."""
_SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_SECONDS = 4.0
_SECONDS_TO_FINALIZE = 1.0
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl


class Stopped(SystemExit):
    """The process was asked to stop; no `Exception`, so that nobody takes it for a failure of what was being done.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.exit_code = ENDED_BY_SIGNAL + number
        super().__init__(self.exit_code)


class _Request:
    """What SIGINT and SIGTERM do in one process.

    Args:
        seconds: to unwind in, before the process is cut off.
        hint: said after what it was stopped by; None to say nothing.
    """

    def __init__(self, seconds: float, hint: str | None) -> None:
        self.hint, self.number = hint, 0
        self._pid, self._seconds, self._said = os.getpid(), seconds, False
        self._before: dict[int, object] = {}
        self._wakeup = -1

    @property
    def is_ours(self) -> bool:
        """Whether it is this process's, and not that of the one it was forked from."""
        return self._pid == os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; all but the first are ignored, since it is being done."""
        del frame
        if not self.is_ours:  # a loading process, whose parent is asked as well
            os._exit(ENDED_BY_SIGNAL + number)
        if not self.number:
            self.number = number
            signal.signal(
                signal.SIGCHLD, signal.SIG_DFL
            )  # torch would raise over loading processes that ended
            raise Stopped(number)

    def take(self) -> None:
        """Take the signals that nobody else has taken, and watch for them."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_DFL, signal.default_int_handler) or isinstance(handler, _Request):
                self._before[number] = handler
        self.stand()
        atexit.register(self._leave)  # so early that it is called last
        threading.Thread(target=self._cut_off_in_time, args=(reading,), daemon=True).start()

    def stand(self) -> None:
        """Be the handler of what was taken."""
        for number in self._before:
            signal.signal(number, self)

    def give_back(self) -> None:
        """Let the handlers from before stand again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it came from there
        os.close(signal.set_wakeup_fd(self._wakeup))
        atexit.unregister(self._leave)

    def say(self) -> None:
        """Tell the user, once; by the shortest way, as whoever holds the locks of `sys.stderr` may hang."""
        if self.hint is not None and not self._said:
            self._said = True
            with suppress(OSError):
                os.write(2, f"stopped by {_SIGNALS[signal.Signals(self.number)]}{self.hint}\n".encode())

    def _leave(self) -> None:
        """Spare the interpreter's own end, which takes seconds with torch in it.

        Temporary folders that still stand, such as those that wandb makes when it is imported, go first: where a
        finalizer was made before this block, Python would call them after this.
        """
        if self.number and self.is_ours:
            _call_finalizers()
            logging.shutdown()
            sys.stdout.flush()
            os._exit(ENDED_BY_SIGNAL + self.number)

    def _cut_off_in_time(self, reading: int) -> None:
        """End the process some time after a signal has come, even if Python never gets to handle it."""
        while (came := os.read(reading, 1)) and came[0] not in self._before:
            pass
        os.close(reading)
        if came:
            time.sleep(self._seconds)
            self.number = self.number or came[0]
            self.say()
            last = threading.Thread(target=_call_finalizers, daemon=True)
            last.start()
            last.join(_SECONDS_TO_FINALIZE)
            os._exit(ENDED_BY_SIGNAL + came[0])


def _call_finalizers() -> None:
    """Call what `weakref.finalize` calls at the interpreter's end: temporary folders are removed so."""
    getattr(weakref.finalize, "_exitfunc", lambda: None)()


_current: list[_Request] = []
_mask = threading.local()


def _hold_signals() -> None:
    _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _let_signals_come() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)


def _leave_the_parents_pipe() -> None:
    if _current:
        signal.set_wakeup_fd(-1)
    _let_signals_come()


# A signal that a child gets before it has left the pipe would be taken for the parent's.
os.register_at_fork(
    before=_hold_signals, after_in_parent=_let_signals_come, after_in_child=_leave_the_parents_pipe
)


@contextmanager
def stops_when_asked(
    hint: str | None = "; the same command goes on from here", seconds: float = _SECONDS
) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the block, and the process with it; within another such block, change the hint alone.

    A handler that somebody else has set stays: submitit's, which lets SLURM queue a job again.

    Args:
        hint: what is said after "stopped by Ctrl-C"; None to say nothing.
        seconds: to unwind in, before the process is cut off.

    Raises:
        Stopped: by the signal; it may come anywhere in the block.
    """
    outer = _current[-1] if _current and _current[-1].is_ours else None
    if outer is not None:
        before, outer.hint = outer.hint, hint
        yield
        outer.hint = before  # after an error the inner one's is said
        return
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    request = _Request(seconds, hint)
    request.take()
    _current.append(request)
    try:
        yield
    except BaseException:
        if not request.number:
            raise
        request.say()  # whatever came of unwinding
        raise Stopped(request.number) from None
    finally:
        if not request.number:
            _current.remove(request)
            request.give_back()


def was_asked() -> bool:
    """Whether this process is being stopped."""
    return any(request.is_ours and request.number for request in _current)


def take_back_signals() -> None:
    """Let the block's handlers stand again, after a library has put its own in their place.

    Only the main thread can set handlers, so in others no library has put any.
    """
    if threading.current_thread() is threading.main_thread() and _current and _current[-1].is_ours:
        _current[-1].stand()


def die_with_parent(parent: int) -> None:
    """Be asked to stop when the process that started this one is gone, however it ended; on Linux alone.

    Args:
        parent: number of that process, which may have gone before this one came so far.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, int(signal.SIGTERM))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
