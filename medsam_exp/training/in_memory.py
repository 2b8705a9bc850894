"""Images read once and kept, for training sets that fit into memory."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset


class _Reader(TorchDataset[NDArray[Any]]):
    def __init__(self, read: Callable[[str], NDArray[Any]], ids: Sequence[str]) -> None:
        self._read, self._ids = read, ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> NDArray[Any]:
        return self._read(self._ids[index])


def read_all(
    read: Callable[[str], NDArray[Any]], ids: Sequence[str], workers: int
) -> dict[str, NDArray[Any]]:
    """Read every array by id with several processes; loading processes forked later share the memory.

    Args:
        read: array of one id.
        ids: what to read.
        workers: reading processes; 0 reads in this one.
    """
    loader = DataLoader(_Reader(read, ids), batch_size=None, num_workers=workers)
    return {sample_id: np.array(array) for sample_id, array in zip(ids, loader, strict=True)}
