"""Randomness that depends on what is computed, not on when: one generator per (seed, sample id, stage)."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from any strings and integers; equal on every machine and Python version."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(*parts: str | int, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A torch generator seeded by `parts`, such as (seed, sample id, stage) and in training the epoch."""
    import torch  # takes seconds, which commands without networks need not wait for

    return torch.Generator(device).manual_seed(derive_seed(*parts))


def numpy_generator(*parts: str | int) -> np.random.Generator:
    """A NumPy generator seeded by `parts`."""
    return np.random.default_rng(derive_seed(*parts))
