"""A raw dataset of a few drawn scans, planned once, and small trainings and results folders on it."""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from medsam_exp.config.build import build
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.nnunet.environment import PREPROCESSED, RAW
from medsam_exp.nnunet.nnunet_loss.dice_ce import DiceCE
from medsam_exp.nnunet.plans import plan_and_preprocess
from medsam_exp.nnunet.raw_dataset import Case, write_raw_dataset
from medsam_exp.nnunet.results import ResultsFolder, results_folder
from medsam_exp.nnunet.settings import NnunetSettings
from medsam_exp.nnunet.training import TrainingParts
from medsam_exp.training.callbacks import MidEpochCheckpoint
from medsam_exp.training.nnunet_data import NnunetDataModule
from medsam_exp.training.nnunet_snapshots import FINAL, Snapshots, write_checkpoint
from medsam_exp.training.nnunet_training import NnunetModule
from tests.compose import composed

SMALL = (
    "nnunet=smoke",
    "nnunet.patch_size=[64,64]",
    "nnunet.base_features=8",
    "nnunet.max_features=32",
    "nnunet.batch_size=4",
    "nnunet.epochs=2",
    "nnunet.iterations=3",
    "nnunet.validation_iterations=2",
    "nnunet.cycles=1",
    "nnunet.late_snapshots=2",
)
"""A network of 0.1 M parameters, for command lines too."""


def settings(**changes: Any) -> NnunetSettings:
    return build(composed(*SMALL).nnunet, **changes)


@dataclass(frozen=True)
class Toy:
    """A planned dataset; `cases` are what it was made of."""

    root: Path
    plans: Path
    cases: tuple[Case, ...]

    def elsewhere(self, root: Path) -> "Toy":
        """A copy that shares the plans and images, with results of its own."""
        shutil.copytree(self.root / PREPROCESSED, root / PREPROCESSED)
        return Toy(root, root / self.plans.relative_to(self.root), self.cases)

    def parts(self, fold: int | str = 0, seed: int = 0, **changes: Any) -> TrainingParts:
        chosen, log_file = settings(**changes), self.root / "log.txt"
        return TrainingParts(self.root, self.plans, fold, chosen, DiceCE(), seed, log_file)


def make_toy(root: Path, cases: list[Case], labels: dict[str, int]) -> Toy:
    write_raw_dataset(root, "toy", cases, labels)
    plans = plan_and_preprocess(root, root / RAW, settings(), root / "log.txt")
    return Toy(root, plans, tuple(cases))


def phantom_cases(count: int) -> list[Case]:
    scans = PhantomDataset(seed=9, count=count, pair_fraction=0.0)
    return [
        Case(sample.id, scans.read_image(sample.id), scans.read_ground_truth(sample.id).astype(np.uint8))
        for sample in scans.samples
    ]


class Rate:
    """A schedule that is easy to tell from any other."""

    def __call__(self, epoch: int) -> float:
        return 0.01 / (epoch + 1)


def train(
    parts: TrainingParts, *callbacks: pl.Callback, workers: int = 0, seed: int = 0, **changes: Any
) -> NnunetModule:
    """Train as the stage does, going on with a checkpoint that is there; give the module."""
    chosen = settings(**changes)
    parts.write_results_folder()
    data = NnunetDataModule(parts.batches(), chosen.iterations, chosen.validation_iterations, seed, workers)
    module = NnunetModule(parts, Rate())
    folder = parts.results / "lightning"
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        max_epochs=chosen.epochs,
        gradient_clip_val=chosen.gradient_clip,
        limit_val_batches=chosen.validation_iterations if parts.has_validation else 0,
        callbacks=[
            *callbacks,
            Snapshots(parts, range(chosen.epochs)),
            ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False),
            MidEpochCheckpoint(folder, timedelta(0)),
        ],
    )
    last = folder / "last.ckpt"
    trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=True)
    return module


def random_results(toy: Toy, root: Path, members: int, **changes: Any) -> ResultsFolder:
    """A results folder whose members have random weights, so that their masks differ widely."""
    own = toy.elsewhere(root)
    for seed in range(members):
        parts = own.parts("all", seed, **changes)
        with torch.no_grad():
            for head in parts.network.decoder.seg_layers:
                head.weight *= 8
                head.bias.zero_()
        parts.write_results_folder()
        write_checkpoint(parts.checkpoint(seed, None), parts.results / f"checkpoint_epoch_{seed:04d}.pth")
        write_checkpoint(parts.checkpoint(seed, parts.optimizer()), parts.results / FINAL)
    return results_folder(parts.results.parent, "checkpoint_epoch_*.pth")


def stock_predictor(folder: Path, name: str, fold: int | str = "all", *, mirroring: bool = True) -> Any:
    """nnU-Net's own predictor on a results folder."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=mirroring, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (fold,), name)
    return predictor


def stock_prediction(predictor: Any, image: Any) -> tuple[Any, Any]:
    """Mask (H, W) and probabilities (K, H, W) of an (H, W, 3) image by nnU-Net alone.

    These are the steps of its `predict_single_npy_array`, which always takes the softmax with eight threads: where
    they divide the pixels decides the last digit.
    """
    from nnunetv2.inference.export_prediction import (
        convert_predicted_logits_to_segmentation_with_correct_shape,
    )

    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    channels = len(predictor.dataset_json["channel_names"])
    data = image.transpose(2, 0, 1)[:channels, None].astype(np.float32)
    data, _, properties = configuration.preprocessor_class(verbose=False).run_case_npy(
        data, None, {"spacing": (999, 1, 1)}, plans, configuration, predictor.dataset_json
    )
    mask, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
        predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)),
        plans,
        configuration,
        predictor.label_manager,
        properties,
        return_probabilities=True,
        num_threads_torch=torch.get_num_threads(),
    )
    return mask[0], probabilities[:, 0]
