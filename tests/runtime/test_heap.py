"""Freed memory is used again: pages are not asked of the system a second time."""

import subprocess
import sys

import pytest

ALLOCATE = """
import resource
from medsam_exp.runtime.heap import keep_freed_memory
if {kept}:
    keep_freed_memory()
def work():
    held = [b"x" * (20 * 2**20) for _ in range(5)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has this memory")
@pytest.mark.parametrize(("kept", "fewest", "most"), [(True, 0, 2_000), (False, 10_000, 60_000)])
def test_pages_are_kept(kept: bool, fewest: int, most: int) -> None:
    code = [sys.executable, "-c", ALLOCATE.format(kept=kept)]
    answer = subprocess.run(code, capture_output=True, text=True, check=True)
    assert fewest <= int(answer.stdout) <= most
