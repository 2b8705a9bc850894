"""What a disk refuses: a sentence that names the file, the reason and the remedy; other errors are none."""

import errno
import os

import pytest

from medsam_exp.runtime.disk_faults import disk_fault, name_folder


def refusal(number: int, name: str | bytes | None = "/data/outputs/file") -> OSError:
    error = OSError(number, os.strerror(number))
    error.filename = name
    return error


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            errno.ENOSPC,
            "/data/outputs/file: no space left on device; free space, or choose another folder, and",
        ),
        (errno.EDQUOT, "/data/outputs/file: disk quota exceeded; free some of your quota"),
        (errno.EROFS, "/data/outputs/file: read-only file system; choose a folder that can be written"),
        (errno.EACCES, "/data/outputs/file: permission denied; change the permissions"),
        (errno.EIO, "/data/outputs/file: input/output error; look at the disk"),
        (errno.ENOENT, "/data/outputs/file: no such file or directory; look at what has removed it"),
    ],
)
def test_a_refusal_is_one_sentence(number: int, said: str) -> None:
    found = disk_fault(refusal(number))
    assert found.startswith(said)
    assert found.endswith("and run the same command again: it goes on from here")


def test_a_refusal_behind_other_errors_is_found() -> None:
    error = ValueError("Unable to configure handler 'file'")  # as logging has it
    error.__cause__ = refusal(errno.ENOSPC, b"/data/f")
    assert disk_fault(error).startswith("/data/f: no space left")


@pytest.mark.parametrize("error", [ValueError("x"), OSError("no number"), OSError(errno.EINTR, "x")])
def test_other_errors_are_not_the_disks(error: Exception) -> None:
    assert disk_fault(error) == ""


def test_one_that_names_no_file_names_the_runs_folder() -> None:
    error = refusal(errno.ENOSPC, None)
    assert disk_fault(error).startswith("a file: ")
    name_folder(error, "/runs/one")
    assert disk_fault(error).startswith("/runs/one: no space left")
    other = refusal(errno.ENOSPC)
    name_folder(other, "/runs/one")
    assert disk_fault(other).startswith("/data/outputs/file: ")
