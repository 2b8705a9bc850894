"""Masks and uncertainty of many images by an ensemble of nnU-Net's checkpoints, under a Lightning Trainer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from medsam_exp.nnunet.inference import Predictor, PreparedImage
from medsam_exp.nnunet.uncertainty.maps import EnsembleMoments, MemberMasks
from medsam_exp.runtime.finite import all_finite, not_finite
from medsam_exp.training.inference_data import batch_loader
from medsam_exp.types import RGBImage

Prepared = tuple[str, PreparedImage]
"""An image's id, and the image."""


@dataclass(frozen=True)
class EnsembleAnswer:
    """Prediction of an ensemble for one image, in the original frame.

    Attributes:
        probabilities: (K, H, W) float32, mean over members; background first.
        maps: (H, W) float32 by name: entropy, mean_entropy, mutual_information (nats), variance.
        disagreement: 1 - mean DSC over pairs of members; 0 for a single member.
        members: how many.
    """

    probabilities: NDArray[np.float32]
    maps: dict[str, NDArray[np.float32]]
    disagreement: float
    members: int


class EnsembleModule(pl.LightningModule):
    """Predicts images with one ensemble member after the other and accumulates moments, so memory does not grow.

    Args:
        predictor: with the members.
        save: receives (image id, answer).
    """

    def __init__(self, predictor: Predictor, save: Callable[[str, EnsembleAnswer], None]) -> None:
        super().__init__()
        self.network = predictor.network
        self._predictor, self._save = predictor, save

    def predict_step(self, batch: list[Prepared], *_: Any) -> None:
        """Predict a few images with every member, loading each once, and save the answers.

        Raises:
            UserError: a member is broken, or gives probabilities that are not finite.
        """
        self._predictor.to(self.device)
        moments = {image_id: EnsembleMoments() for image_id, _ in batch}
        classes = len(self._predictor.results.labels)
        masks = {image_id: MemberMasks(classes) for image_id, _ in batch}
        for member in self._predictor.results.members:
            self._predictor.use(member)
            for image_id, image in batch:
                probabilities = self._probabilities(image_id, image, member)
                moments[image_id].add(probabilities)
                masks[image_id].add(probabilities.argmax(0))
        for image_id, image in batch:
            self._save(image_id, self._answer(image, moments[image_id], masks[image_id]))

    def _probabilities(self, image_id: str, image: PreparedImage, member: Path) -> Tensor:
        try:
            probabilities = self._predictor.probabilities(image)
        except RuntimeError as error:
            if "Encountered inf" not in str(error):  # what nnU-Net says of logits beyond float16
                raise
            probabilities = torch.full((1,), torch.inf)
        if not all_finite(probabilities):
            what = f"the probabilities of {image_id!r} by {member}"
            raise not_finite(what, "nnU-Net", remedy="leave this checkpoint out of ensemble.checkpoints")
        return probabilities

    def transfer_batch_to_device(self, batch: list[Prepared], *_: Any) -> list[Prepared]:
        """Leave the images where they are: nnU-Net moves one at a time."""
        return batch

    def _answer(self, image: PreparedImage, moments: EnsembleMoments, masks: MemberMasks) -> EnsembleAnswer:
        outside = [1.0] + [0.0] * (len(moments.mean()) - 1)  # beyond the crop is background for certain
        classes = [
            self._predictor.to_original(values, image, fill)
            for values, fill in zip(moments.mean(), outside, strict=True)
        ]
        maps = {name: self._predictor.to_original(values, image) for name, values in moments.maps().items()}
        return EnsembleAnswer(np.stack(classes), maps, masks.pairwise_dice_disagreement(), moments.members)


def ensemble_loader(
    image_ids: Sequence[str],
    read: Callable[[str], RGBImage],
    predictor: Predictor,
    *,
    at_once: int,
    **share: int,
) -> DataLoader[list[Prepared]]:
    """Loader of groups of preprocessed images; every member predicts a group before the next member is loaded.

    Args:
        image_ids: all ids of the job, equal on every process.
        read: (H, W, 3) image of an id.
        predictor: whose preprocessing.
        at_once: images for which a member is loaded once; more cost memory, not time.
        share: `workers`, `rank` and `world_size` of `batch_loader`.
    """
    return batch_loader(image_ids, partial(_prepare, read, predictor), batch_size=at_once, **share)


def _prepare(
    read: Callable[[str], RGBImage], predictor: Predictor, image_ids: Sequence[str]
) -> list[Prepared]:
    return [(image_id, predictor.prepare(read(image_id))) for image_id in image_ids]
