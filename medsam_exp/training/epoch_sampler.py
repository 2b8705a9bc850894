"""The order of training samples, decided by the seed and by how far the training has come."""

from collections.abc import Callable, Iterator

from torch.utils.data import DistributedSampler

from medsam_exp.runtime.seeding import numpy_generator


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Yields (epoch, index) for the rest of an epoch, so that a loading process knows the epoch of a sample.

    It asks how many batches are trained instead of being told the epoch: after a resume, Lightning lets the
    loading processes begin before it tells. A `DistributedSampler`, because Lightning lets those be.
    Each process takes its slice of every whole batch; all slices together are what one process alone gets. Where a
    batch cannot be shared equally, its last sample is repeated at its end, so that all slices are equally long.

    Args:
        size: number of samples.
        batch_size: samples of a whole batch, over all processes.
        batches: whole batches of one epoch; samples beyond them wait for another epoch's order.
        seed: of the order; None keeps the given order, as epoch 0, every time.
        trained_batches: how many whole batches the training has consumed so far.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        batches: int,
        seed: int | None,
        trained_batches: Callable[[], int],
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(range(size), world_size, rank)  # type: ignore[arg-type]
        self.share = -(-batch_size // world_size)
        self._batch_size, self._size, self._batches, self._seed = batch_size, size, batches, seed
        self._trained_batches = trained_batches

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield this process's samples of the epoch's remaining batches."""
        epoch, done, order = 0, 0, range(self._size)
        if self._seed is not None:
            epoch, done = divmod(self._trained_batches(), self._batches)
            order = numpy_generator(self._seed, "order", epoch).permutation(self._size).tolist()
        slots = range(self.rank * self.share, (self.rank + 1) * self.share)
        places = [min(slot, self._batch_size - 1) for slot in slots]
        starts = range(done * self._batch_size, self._batches * self._batch_size, self._batch_size)
        return iter([(epoch, order[start + place]) for start in starts for place in places])

    def __len__(self) -> int:
        """Samples of a whole epoch on this process."""
        return self._batches * self.share
