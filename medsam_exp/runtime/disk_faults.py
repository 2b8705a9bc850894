"""What a disk refuses, in one sentence: which file, why, and what helps; stored results stay either way."""

import errno
import os
from collections.abc import Iterator

_REMEDIES = {
    errno.ENOSPC: "free space, or choose another folder",
    errno.EDQUOT: "free some of your quota, or choose another folder",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another folder",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions, or choose another folder",
    errno.EIO: "look at the disk",
    errno.ESTALE: "look at the network file system",
    errno.ENOLCK: "look at the network file system",
    errno.ENODEV: "look at whether the disk is still there",
    errno.ENXIO: "look at whether the disk is still there",
    errno.ENOENT: "look at what has removed it",
    errno.ENOTDIR: "look at what has taken the place of a folder",
    errno.EISDIR: "look at what has taken the place of a file",
    errno.ENOTEMPTY: "look at what else writes there",
    errno.EMFILE: "raise the number of files that may be open (ulimit -n)",
    errno.ENFILE: "raise the number of files that may be open on this machine",
    errno.ENAMETOOLONG: "choose shorter names",
}
"""What helps against what the system answers; other answers are faults of the program."""


def disk_fault(error: BaseException) -> str:
    """One sentence on an error that a disk or a file system has caused, perhaps behind others; "" for other errors."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _REMEDIES:
            where = os.fsdecode(cause.filename) if isinstance(cause.filename, str | bytes) else "a file"
            why = os.strerror(cause.errno).lower()
            return f"{where}: {why}; {_REMEDIES[cause.errno]}, and run the same command again: it goes on from here"
    return ""


def name_folder(error: BaseException, folder: str) -> None:
    """Let an error of a disk that names no file name the folder in which it came."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _REMEDIES and cause.filename is None:
            cause.filename = folder


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        yield one
        seen.add(id(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
