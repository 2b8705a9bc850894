"""Which epochs' networks are kept as members of the ensemble."""

from medsam_exp.nnunet.nnunet_schedule.cycles import cycle_length
from medsam_exp.types import UserError


def snapshot_epochs(epochs: int, cycles: int, late: int, sparse: int) -> tuple[int, ...]:
    """Epochs after which the network is kept, in order.

    The paper keeps the last ten of each of three cycles (G = 30); the released code stops one short of each
    cycle's end, where the rate is lowest and the network best, and is followed here in the number only.

    Args:
        epochs: of the whole training.
        cycles: number of equal cycles.
        late: how many at the end of each cycle, the cycle's last epoch included.
        sparse: how many more in each cycle, evenly spaced over its epochs before the late ones. The rest is cut
            into so many equal parts, and the last epoch of each part is kept, so the untrained start never is.

    Returns:
        Distinct epochs, counted from 0, cycles * (late + sparse) of them.

    Raises:
        UserError: there are not so many epochs in a cycle, or nothing would be kept.
    """
    length = cycle_length(epochs, cycles)
    if late < 0 or sparse < 0 or late + sparse == 0:
        raise UserError(
            f"late={late} and sparse={sparse} snapshots a cycle: neither can be negative, and one must be above 0"
        )
    if late + sparse > length:
        raise UserError(
            f"late={late} and sparse={sparse} snapshots a cycle are more than the {length} epochs of a cycle "
            f"(epochs={epochs}, cycles={cycles}): keep fewer, or train longer"
        )
    rest = length - late
    in_cycle = [part * rest // sparse - 1 for part in range(1, sparse + 1)] + list(range(rest, length))
    return tuple(cycle * length + epoch for cycle in range(cycles) for epoch in in_cycle)
