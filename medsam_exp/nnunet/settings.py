"""What one may choose about an nnU-Net training; everything left at null is the planner's choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from medsam_exp.nnunet.nnunet_schedule.cycles import cycle_length
from medsam_exp.nnunet.snapshots import snapshot_epochs
from medsam_exp.types import UserError

CONFIGURATION = "2d"
_COUNTS = ("epochs", "iterations", "validation_iterations", "cycles", "batch_size", "base_features")


@dataclass(frozen=True)
class NnunetSettings:
    """Plain numbers of a training; the defaults of `conf/nnunet/2d.yaml` are nnU-Net's own.

    Attributes:
        planner: class of nnU-Net's experiment planner, e.g. ExperimentPlanner or nnUNetPlannerResEncM.
        gpu_memory_gb: what the planner may plan for; None for the planner's own target.
        batch_size: images of a batch, over all devices; None for the planner's.
        patch_size: (rows, columns) of a patch in pixels, rounded up to what the network can divide; None for the
            planner's. The network's depth follows from it by nnU-Net's own rule.
        base_features: channels of the first stage, doubled at each further one; None for the planner's.
        max_features: channels of a stage at most; None for the planner's.
        epochs: of the whole training, over all cycles.
        iterations: optimizer steps of an epoch.
        validation_iterations: batches of held-out cases after each epoch.
        learning_rate: at the start.
        weight_decay: of SGD with Nesterov momentum 0.99.
        gradient_clip: largest norm of the gradient.
        oversample_foreground: share of a batch whose patches are centred on foreground, in [0, 1].
        cycles: of the learning rate.
        late_snapshots: checkpoints kept from the end of each cycle, the last epoch included.
        sparse_snapshots: checkpoints kept from the rest of each cycle, evenly spaced.
        folds: which folds to train, one after the other: 0 to 4 of a five-fold split, whose held-out cases give the
            pseudo-Dice, or "all" for all cases and no validation.
        disk_limit_gb: a training that would write more is refused before it starts.
        processes: that plan and preprocess; 0 works in this one, which is faster for a few hundred images.
    """

    requires: ClassVar[str] = "nnunetv2"
    planner: str
    gpu_memory_gb: float | None
    batch_size: int | None
    patch_size: Sequence[int] | None
    base_features: int | None
    max_features: int | None
    epochs: int
    iterations: int
    validation_iterations: int
    learning_rate: float
    weight_decay: float
    gradient_clip: float
    oversample_foreground: float
    cycles: int
    late_snapshots: int
    sparse_snapshots: int
    folds: Sequence[int | str]
    disk_limit_gb: float
    processes: int

    def __post_init__(self) -> None:
        counts: dict[str, int | None] = {name: getattr(self, name) for name in _COUNTS}
        too_small = [
            f"nnunet.{name}={value}" for name, value in counts.items() if value is not None and value < 1
        ]
        if too_small:
            raise UserError(f"{', '.join(too_small)}: give at least 1")
        if min(self.late_snapshots, self.sparse_snapshots, self.processes) < 0:
            raise UserError("nnunet.late_snapshots, sparse_snapshots and processes cannot be negative")
        if self.patch_size is not None and (len(self.patch_size) != 2 or min(self.patch_size) < 16):
            raise UserError(
                f"nnunet.patch_size is {list(self.patch_size)}: give two numbers of at least 16, [rows, columns]"
            )
        if not self.folds or any(fold != "all" and fold not in range(5) for fold in self.folds):
            raise UserError(f"nnunet.folds is {list(self.folds)}: name some of 0, 1, 2, 3, 4, or [all]")
        if len(set(self.folds)) < len(self.folds):
            raise UserError(f"nnunet.folds names a fold twice: {list(self.folds)}")
        if not 0 <= self.oversample_foreground <= 1:
            raise UserError(
                f"nnunet.oversample_foreground is {self.oversample_foreground}, but it must be in [0, 1]"
            )
        _ = self.kept_epochs  # says which numbers do not fit

    @property
    def kept_epochs(self) -> tuple[int, ...]:
        """0-based epochs after which a member of the ensemble is kept; none when only the last checkpoint is.

        Raises:
            UserError: the cycles would not be equally long, or have fewer epochs than are kept.
        """
        if self.late_snapshots + self.sparse_snapshots == 0:
            cycle_length(self.epochs, self.cycles)
            return ()
        return snapshot_epochs(self.epochs, self.cycles, self.late_snapshots, self.sparse_snapshots)
