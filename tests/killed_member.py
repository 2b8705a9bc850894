"""One of two processes is killed while the other waits for it: `python -m tests.killed_member`."""

import os
import signal

from medsam_exp.runtime import distributed


def work() -> None:
    """Process 1 is killed, as the system does for want of memory."""
    distributed.barrier()
    if distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()


if __name__ == "__main__":
    distributed.work_as_member(work)
