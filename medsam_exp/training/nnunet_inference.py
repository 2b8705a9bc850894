"""Probabilities and uncertainty of images by an ensemble of nnU-Net's checkpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medsam_exp.nnunet.inference import Predictor, PreparedImage
from medsam_exp.nnunet.uncertainty.maps import EnsembleMoments, MemberMasks
from medsam_exp.runtime.finite import all_finite, not_finite


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


def ensemble_answers(
    predictor: Predictor, batch: Sequence[tuple[str, PreparedImage]]
) -> Iterator[tuple[str, EnsembleAnswer]]:
    """Predict a few images with one member after the other, loading each once, so memory does not grow with them.

    Args:
        predictor: with the members.
        batch: id of each image, and the image.

    Yields:
        Each image's id and answer.

    Raises:
        UserError: a member is broken, or gives probabilities that are not finite.
    """
    moments = {image_id: EnsembleMoments() for image_id, _ in batch}
    classes = len(predictor.results.labels)
    masks = {image_id: MemberMasks(classes) for image_id, _ in batch}
    for member in predictor.results.members:
        predictor.use(member)
        for image_id, image in batch:
            probabilities = _probabilities(predictor, image_id, image, member)
            moments[image_id].add(probabilities)
            masks[image_id].add(probabilities.argmax(0))
    for image_id, image in batch:
        yield image_id, _answer(predictor, image, moments[image_id], masks[image_id])


def _probabilities(predictor: Predictor, image_id: str, image: PreparedImage, member: Path) -> Tensor:
    try:
        probabilities = predictor.probabilities(image)
    except RuntimeError as error:
        if "Encountered inf" not in str(error):  # what nnU-Net says of logits beyond float16
            raise
        probabilities = torch.full((1,), torch.inf)
    if not all_finite(probabilities):
        what = f"the probabilities of {image_id!r} by {member}"
        raise not_finite(what, "nnU-Net", remedy="leave this checkpoint out of ensemble.checkpoints")
    return probabilities


def _answer(
    predictor: Predictor, image: PreparedImage, moments: EnsembleMoments, masks: MemberMasks
) -> EnsembleAnswer:
    outside = [1.0] + [0.0] * (len(moments.mean()) - 1)  # beyond the crop is background for certain
    classes = [
        predictor.to_original(values, image, fill)
        for values, fill in zip(moments.mean(), outside, strict=True)
    ]
    maps = {name: predictor.to_original(values, image) for name, values in moments.maps().items()}
    return EnsembleAnswer(np.stack(classes), maps, masks.pairwise_dice_disagreement(), moments.members)
