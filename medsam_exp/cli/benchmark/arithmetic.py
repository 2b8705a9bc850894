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
_FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def processor_seconds(work: Callable[[], Any]) -> float:
    """Seconds of processor time of all threads."""
    return seconds_on("cpu", work)


def seconds_on(device: str, work: Callable[[], Any]) -> float:
    """Seconds of some work: a processor's of all threads, which others hardly lengthen; a GPU's by the clock."""
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def operations(work: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products of some work, those of its backward passes too."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def rate(dtype: torch.dtype, device: str = "cpu") -> float:
    """Operations a second in a product of a frozen layer, the best of a few rounds, as `seconds_on` counts them."""
    tokens = torch.randn(_TOKENS, _WIDTH, dtype=dtype, device=device)
    weight = torch.randn(_HIDDEN, _WIDTH, dtype=dtype, device=device)
    fastest = min(seconds_on(device, lambda: linear(tokens, weight)) for _ in range(_ROUNDS))
    return 2 * _TOKENS * _WIDTH * _HIDDEN / fastest


def rates_of(device: str) -> dict[str, float]:
    """The same in TFLOP/s by number format; on a processor of one thread."""
    torch.set_num_threads(1)
    return {name: rate(dtype, device) / 1e12 for name, dtype in _FORMATS.items()}
