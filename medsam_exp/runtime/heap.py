"""Memory that networks let go of stays with the process: to take it anew from Linux costs a tenth of M2IB's time."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of `mallopt` in glibc's malloc.h."""
_KEPT = 2**30
"""Bytes of free memory at the heap's end that are not given back."""
_FROM_THE_HEAP = 32 * 2**20
"""Bytes below which memory comes from the heap, the largest that glibc allows; a ViT-B's tensors are smaller."""


def keep_freed_memory() -> None:
    """Let glibc keep up to a gigabyte of freed memory; without effect on other systems."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _FROM_THE_HEAP)
