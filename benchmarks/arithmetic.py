"""How fast a thing could be at most: operations that it needs, by the rate of this machine's matrix products."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode

_TOKENS, _WIDTH, _HIDDEN = 1970, 768, 3072
"""The largest product of ViT-B for ten images of 224 px."""
_ROUNDS = 7


def processor_seconds(work: Callable[[], Any]) -> float:
    """Processor time of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def operations(work: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products of some work, those of its backward passes too."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def processor_rate(dtype: torch.dtype) -> float:
    """Operations a second of processor time in a product of a frozen layer, the best of a few rounds."""
    tokens, weight = torch.randn(_TOKENS, _WIDTH, dtype=dtype), torch.randn(_HIDDEN, _WIDTH, dtype=dtype)
    fastest = min(processor_seconds(lambda: linear(tokens, weight)) for _ in range(_ROUNDS))
    return 2 * _TOKENS * _WIDTH * _HIDDEN / fastest
