"""The order of training samples, decided by the seed and the epoch alone."""

from collections.abc import Iterator

from torch.utils.data import DistributedSampler

from medsam_exp.seeding import numpy_generator
from medsam_exp.types import UserError


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Yields (epoch, index), so that a loading process knows the epoch that its randomness depends on.

    A `DistributedSampler`, because Lightning leaves those alone and tells them the epoch. Every process takes
    its slice of each whole batch; the slices together are the batch that one process alone would see.

    Args:
        size: number of samples.
        batch_size: samples of a whole batch, over all processes; the last incomplete batch is dropped.
        seed: of the order.
        shuffle: False gives the given order, as epoch 0, every time.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        UserError: not one whole batch, or a batch that the processes cannot share equally.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        *,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if size < batch_size:
            raise UserError(f"There are {size} training samples, fewer than one batch of {batch_size}.")
        if batch_size % world_size:
            raise UserError(
                f"A batch of {batch_size} cannot be shared equally by {world_size} devices: pick another."
            )
        super().__init__(range(size), world_size, rank, shuffle, seed)  # type: ignore[arg-type]
        self.share = batch_size // world_size
        self._size, self._batches = size, size // batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield this process's samples of every batch of the epoch."""
        epoch = self.epoch if self.shuffle else 0
        order = range(self._size)
        if self.shuffle:
            order = numpy_generator(self.seed, "order", epoch).permutation(self._size).tolist()
        for batch in range(self._batches):
            start = (batch * self.num_replicas + self.rank) * self.share
            yield from ((epoch, index) for index in order[start : start + self.share])

    def __len__(self) -> int:
        """Samples of one epoch on this process."""
        return self._batches * self.share
