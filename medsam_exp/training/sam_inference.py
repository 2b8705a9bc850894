"""SAM's embeddings and masks of batches of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from medsam_exp.runtime.finite import all_finite, first_broken_module, not_finite, refuse_broken_rows
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.training.prediction import EmbeddingBatch, ImageBatch
from medsam_exp.types import Mask, MaskFusion, Prompts


@dataclass(frozen=True)
class SamAnswer:
    """Prediction of SAM for one image.

    Attributes:
        mask: (H, W) bool, original frame, the masks of all N prompts united.
        iou_predictions: what the network expects of the mask of each prompt, or of each object that several ask for.
        proposal_iou_predictions: for each of these, what it expects of each mask before fusion.
        prompts: boxes and points that it was asked with at last.
    """

    mask: Mask
    iou_predictions: list[float]
    proposal_iou_predictions: list[list[float]]
    prompts: Prompts


@dataclass(frozen=True)
class _Joining:
    """Remembers the points that join prompts when they are asked again."""

    choose: Callable[[int, Mask], NDArray[np.float32]]
    chosen: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def __call__(self, place: int, mask: Mask) -> NDArray[np.float32]:
        self.chosen[place] = self.choose(place, mask)
        return self.chosen[place]

    def joined(self, prompts: Prompts) -> Prompts:
        """Prompts with these points behind their own."""
        coords = np.stack([self.chosen[place] for place in range(len(prompts))])
        labels = np.ones(coords.shape[:2], np.int64)
        if prompts.point_coords is not None and prompts.point_labels is not None:
            coords = np.concatenate([prompts.point_coords, coords], axis=1)
            labels = np.concatenate([prompts.point_labels, labels], axis=1)
        return replace(prompts, point_coords=coords, point_labels=labels, further_points=None)


def sam_embeddings(sam: PromptableModel, batch: ImageBatch) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each image's id and (C, g, g) float32 embedding, for prompts that come later.

    Raises:
        UserError: an embedding is not finite.
    """
    yield from zip(batch.ids, _encode(sam, batch).float().cpu().numpy(), strict=False)


def sam_answers(
    sam: PromptableModel,
    fusion_of: Callable[[str], MaskFusion],
    prompts_of: Callable[[str], Prompts],
    batch: ImageBatch | EmbeddingBatch,
) -> Iterator[tuple[str, SamAnswer]]:
    """Each sample's id and answer; the masks of several prompts are united, of none the mask is empty.

    Args:
        sam: the network.
        fusion_of: a sample id, what makes one mask of those that the network gives for one prompt.
        prompts_of: a sample id, its prompts; called once for each.
        batch: images, or embeddings that were stored.

    Raises:
        UserError: an embedding, a mask's logit or an expected IoU is not finite.
    """
    if isinstance(batch, ImageBatch):
        batch = EmbeddingBatch(batch.ids, batch.sizes, tuple(_encode(sam, batch)))
    for sample_id, size, embedding in zip(batch.ids, batch.sizes, batch.embeddings, strict=False):
        fusion = fusion_of(sample_id)
        yield sample_id, answer_prompts(sam, fusion, embedding, prompts_of(sample_id), size, sample_id)


def _encode(sam: PromptableModel, batch: ImageBatch) -> torch.Tensor:
    """Embeddings (B, C, g, g) of a batch; a broken one is refused with the place in the network."""
    embeddings = sam.encode(batch.images)
    refuse_broken_rows(
        embeddings,
        batch.ids,
        "the image embedding",
        "SAM",
        lambda: first_broken_module(sam, lambda: sam.encode(batch.images)),
    )
    return embeddings


def answer_prompts(
    sam: PromptableModel,
    fusion: MaskFusion,
    embedding: torch.Tensor,
    prompts: Prompts,
    size: tuple[int, int],
    sample_id: str = "",
) -> SamAnswer:
    """Decode the prompts of one image one by one, fuse the masks of each object, unite the fused ones.

    Args:
        sam: the network.
        fusion: acts per object, on the masks of one prompt or of several alternatives, before objects are united.
        embedding: (C, g, g) of the image.
        prompts: N prompts, original frame.
        size: (H, W) of the image.
        sample_id: of the image, to be named in errors.

    Raises:
        UserError: a mask's logit or an expected IoU is not finite.
    """
    united = torch.zeros(size, dtype=torch.bool, device=embedding.device)
    fused_iou, proposal_iou = [], []
    joining = None if prompts.further_points is None else _Joining(prompts.further_points)
    asked = replace(prompts, further_points=joining)
    answers = sam.decode(embedding, asked, size, multimask=fusion.multimask)
    while of_one := list(islice(answers, prompts.alternatives)):
        logits, iou_predictions = (torch.cat(parts) for parts in zip(*of_one, strict=True))
        if not (all_finite(logits) and all_finite(iou_predictions)):
            raise not_finite(f"a mask of {sample_id!r}, or its expected IoU,", "SAM")
        mask, iou = fusion(logits, iou_predictions)
        united |= mask
        fused_iou.append(iou)
        proposal_iou.append([float(value) for value in iou_predictions.cpu()])
    said = joining.joined(prompts) if joining is not None and joining.chosen else prompts
    return SamAnswer(united.cpu().numpy(), fused_iou, proposal_iou, replace(said, mask_logits=None))
