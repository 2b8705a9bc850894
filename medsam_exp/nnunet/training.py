"""Parts of nnU-Net's trainer: network, loss, optimizer, batches, checkpoints.

The trainer itself is never run; Lightning trains. Everything here comes from one unmodified `nnUNetTrainer`.
"""

import json
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from medsam_exp.nnunet.environment import nnunet_folders
from medsam_exp.nnunet.nnunet_loss.pixel_term import PixelLoss, replace_cross_entropy
from medsam_exp.nnunet.settings import CONFIGURATION, NnunetSettings
from medsam_exp.nnunet.weak_label.compose import IGNORE
from medsam_exp.runtime import distributed
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.types import UserError

_TRAINER_MODULE = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer"


@dataclass(frozen=True)
class Batch(TensorBatch):
    """One batch of nnU-Net's patches.

    Attributes:
        image: (B, C, h, w) float32, normalised.
        target: labels (B, 1, h, w) int16 at every resolution of deep supervision, the finest first.
    """

    image: Tensor
    target: list[Tensor]


class TrainingParts:
    """Network, loss, optimizer and batches of one fold, as nnU-Net would make them.

    With several processes each draws its share of every batch, and the Dice part of the loss is that of the whole
    batch.

    Args:
        root: holds nnUNet_preprocessed and receives nnUNet_results.
        plans: file of plans.
        fold: 0 to 4, or "all".
        settings: of the training.
        pixel_loss: beside Dice in nnU-Net's loss.
        seed: of the network's first weights.
        log_file: receives nnU-Net's console output.

    Attributes:
        network: with deep supervision.
        loss: of the network's outputs and a batch's targets.
        results: folder of this fold in nnUNet_results.
        has_validation: whether the fold holds cases out.
        labels: value of each class by name, background's too.
        ignore_label: value of unknown pixels; None where every pixel is known.
    """

    network: nn.Module
    labels: dict[str, int]

    def __init__(
        self,
        root: Path,
        plans: Path,
        fold: int | str,
        settings: NnunetSettings,
        pixel_loss: PixelLoss,
        seed: int,
        log_file: Path | None,
    ) -> None:
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

        self._root, self._log_file, self._plans_file = root, log_file, plans
        content = json.loads(plans.read_text())
        dataset_json = json.loads((plans.parent / "dataset.json").read_text())
        self.has_validation = fold != "all"
        if self.has_validation and not (plans.parent / "splits_final.json").is_file():
            raise UserError(
                f"nnunet.folds={fold} needs at least 5 labelled images to hold some out; use nnunet.folds=[all]"
            )
        with nnunet_folders(root, log_file=log_file), _alone(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "nnunet", str(fold)))
            trainer = nnUNetTrainer(
                {**content, "continue_training": False},
                CONFIGURATION,
                fold,
                dataset_json,
                torch.device("cpu"),
            )
            trainer.num_epochs = settings.epochs
            trainer.num_iterations_per_epoch = settings.iterations
            trainer.num_val_iterations_per_epoch = settings.validation_iterations
            trainer.initial_lr, trainer.weight_decay = settings.learning_rate, settings.weight_decay
            trainer.oversample_foreground_percent = settings.oversample_foreground
            trainer.initialize()
        self._trainer = trainer
        self._share_batch(settings)
        replace_cross_entropy(trainer.loss, pixel_loss)
        self.network, self.loss = trainer.network, trainer.loss
        self.results = Path(trainer.output_folder)
        self.labels = {name: value for name, value in dataset_json["labels"].items() if name != IGNORE}
        self.ignore_label: int | None = dataset_json["labels"].get(IGNORE)

    def optimizer(self) -> torch.optim.Optimizer:
        """SGD as nnU-Net sets it up."""
        optimizer: torch.optim.Optimizer = self._trainer.configure_optimizers()[0]
        return optimizer

    def batches(self, weights: Mapping[str, float] | None = None) -> dict[str, Any]:
        """nnU-Net's endless sources of training and (where the fold has one) validation batches.

        Args:
            weights: of the cases by name, above 0: the chance of drawing one for training is in proportion to its
                weight; None for equal chances. Validation does not weigh.

        Raises:
            UserError: a source cannot give a batch; nnU-Net's own reason.
        """
        from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter

        with nnunet_folders(self._root, log_file=self._log_file), _in_this_process():
            sources = self._trainer.get_dataloaders()
        found = {}
        for name, source in zip(("train", "validation"), sources, strict=True):
            assert isinstance(source, SingleThreadedAugmenter)
            _fix_choice_of_algorithm(source.data_loader.transforms)
            found[name] = source.data_loader
        if weights is not None:
            drawn = found["train"]
            own = np.array([weights[name] for name in drawn.indices])
            drawn.sampling_probabilities = own / own.sum()
        if not self.has_validation:
            del found["validation"]
        return found

    def write_results_folder(self) -> None:
        """Put plans and dataset.json where nnU-Net's predictor looks for them."""
        write_atomically(self.results.parent / "plans.json", self._plans_file.read_bytes())
        for name in ("dataset.json", "dataset_fingerprint.json"):
            write_atomically(self.results.parent / name, (self._plans_file.parent / name).read_bytes())

    def record_epoch(self, epoch: int, figures: dict[str, float | list[float]]) -> None:
        """Keep an epoch's figures under nnU-Net's own names, for its checkpoints and progress plots."""
        for name, value in figures.items():
            self._trainer.logger.log(name, value, epoch)

    @property
    def history(self) -> dict[str, Any]:
        """All recorded figures, plain numbers by nnU-Net's names."""
        content: dict[str, Any] = self._trainer.logger.get_checkpoint()
        return content

    @history.setter
    def history(self, content: dict[str, Any]) -> None:
        self._trainer.logger.load_checkpoint(content)

    def checkpoint(self, epoch: int, optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
        """A checkpoint after 0-based `epoch` that nnU-Net loads; without an optimizer it can only predict."""
        kwargs = {**self._trainer.my_init_kwargs, "device": torch.device("cpu")}
        kwargs["plans"] = {key: value for key, value in kwargs["plans"].items() if key != "continue_training"}
        return {
            "network_weights": self.network.state_dict(),
            "optimizer_state": optimizer.state_dict() if optimizer else None,
            "grad_scaler_state": None,
            "logging": self._complete_history(epoch + 1),
            "_best_ema": max(self.history["ema_fg_dice"], default=None),
            "current_epoch": epoch + 1,
            "init_args": kwargs,
            "trainer_name": type(self._trainer).__name__,
            "inference_allowed_mirroring_axes": (0, 1),
        }

    def _complete_history(self, epochs: int) -> dict[str, Any]:
        """All figures, an entry for each epoch: without it, nnU-Net's trainer could not go on."""
        history = {name: list(values) for name, values in self.history.items()}
        if not self.has_validation:
            classes = len(self.labels) - 1
            unknown = {"mean_fg_dice": math.nan, "val_losses": math.nan, "ema_fg_dice": 0.0}
            history |= {name: [value] * epochs for name, value in unknown.items()}
            history["dice_per_class_or_region"] = [[math.nan] * classes] * epochs
        return history

    def _share_batch(self, settings: NnunetSettings) -> None:
        """Take this process's share of every batch, and the loss over the whole batch."""
        trainer, processes = self._trainer, distributed.world_size()
        if processes == 1:
            return
        size = trainer.configuration_manager.batch_size
        if (
            size % processes
        ):  # nnU-Net would gather unequal shares for the Dice of the whole batch, which cannot work
            fewer = size // processes * processes
            better = " or ".join(str(number) for number in (fewer, fewer + processes) if number)
            raise UserError(
                f"A batch of {size} cannot be shared equally by {processes} devices; set nnunet.batch_size={better}, "
                "or another trainer.devices"
            )
        with nnunet_folders(self._root, log_file=self._log_file):
            trainer.is_ddp, trainer.local_rank = True, distributed.rank()
            trainer.oversample_foreground_percent = settings.oversample_foreground
            trainer._set_batch_size_and_oversample()
            trainer.loss = trainer._build_loss()
            trainer.is_ddp = False


def _alone() -> AbstractContextManager[object]:
    """Hide the process group while nnU-Net's trainer is made, which would take it for one of GPUs only."""
    hidden = SimpleNamespace(is_available=lambda: False, is_initialized=lambda: False)
    return patch(f"{_TRAINER_MODULE}.dist", hidden)


def _in_this_process() -> AbstractContextManager[object]:
    """Let nnU-Net make sources of batches without augmenting processes; a DataLoader brings its own."""
    return patch(f"{_TRAINER_MODULE}.get_allowed_n_proc_DA", lambda: 0)


def _fix_choice_of_algorithm(transform: Any) -> None:
    """Let blurring always convolve: by timing two algorithms it would give other digits from run to run."""
    if hasattr(transform, "benchmark"):
        transform.benchmark = False
    inner = getattr(transform, "transforms", None) or [getattr(transform, "transform", None)]
    for part in inner:
        if part is not None:
            _fix_choice_of_algorithm(part)
