"""Stage: from a coarse mask to visual prompts to a SAM mask."""

from collections.abc import Callable
from functools import partial

import numpy as np

from medsam_exp.masks.component_filter.none import AllComponents
from medsam_exp.runtime import distributed
from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.sam.prompt.on_image import prompter_of
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.networks import sam_of_run
from medsam_exp.stages.records import SamRecord, prompt_record
from medsam_exp.training.prediction import StoredEmbedding, read_embeddings
from medsam_exp.training.sam_inference import SamAnswer, sam_answers
from medsam_exp.types import ImagePrompter, MapFusion, MapPrompter, MaskFusion, Prompts


def run(context: StageContext) -> None:
    """Write a mask in the original frame for each pending sample.

    A sample without prompts (its coarse mask is empty) gets an empty mask and `presence` 0; SAM is not asked.
    The record keeps what the network expects of each prompt's mask, and of the proposals it was fused from.
    """
    prompter, fusion = context.build("prompt"), context.build("fusion")
    mask_filter = context.build("mask_filter")
    coarse = context.parents["coarse_mask"]

    def prompts_of(sample_id: str) -> Prompts:
        generator = numpy_generator(context.seed, sample_id, "prompt")
        read = (
            partial(read_map, context.parents["saliency"], sample_id),
            partial(context.read_image, sample_id),
        )
        return prompter_of(prompter, *read)(coarse.mask(sample_id), generator)

    # Prompts that a map or an image is part of would fill the memory: they are made when they are asked with.
    is_late = isinstance(prompter, MapPrompter | ImagePrompter)

    def known_of(sample_id: str) -> Prompts | None:
        """The prompts; None where they are made later of a mask that is not empty."""
        return None if is_late and coarse.mask(sample_id).any() else prompts_of(sample_id)

    mine = dict(zip(context.share, context.computed(known_of), strict=True))
    made = {name: found for share in distributed.to_all(mine) for name, found in share.items()}
    asked = tuple(name for name in context.pending if not _are_none(made[name]))

    def asked_with(sample_id: str) -> Prompts:
        found = made[sample_id]
        return prompts_of(sample_id) if found is None else found

    def result(sample_id: str, answer: SamAnswer) -> Result:
        info: SamRecord = {
            "presence": float(bool(answer.iou_predictions)),
            "iou_predictions": answer.iou_predictions,
            "prompts": prompt_record(answer.prompts),
        }
        if fusion.multimask and answer.iou_predictions:
            info["proposal_iou_predictions"] = answer.proposal_iou_predictions
        if isinstance(mask_filter, AllComponents):  # no map need be read
            return Result(sample_id, info, answer.mask)
        mask = mask_filter(answer.mask, read_map(context.parents["saliency"], sample_id))
        return Result(sample_id, info, mask)

    for name, found in mine.items():
        if _are_none(found):
            absent: SamRecord = {"presence": 0.0, "iou_predictions": [], "prompts": prompt_record(Prompts())}
            context.save(name, absent, np.zeros_like(coarse.mask(name)))
    if not asked:
        return
    sam = sam_of_run(context)
    answers = partial(sam_answers, sam, partial(_fusion_of, context, fusion), asked_with)
    stored = "sam_embedding" in context.parents
    read = partial(read_embeddings, _reader(context)) if stored else context.images(sam.preprocess)
    context.store(sam, answers, result, read, asked)


def _are_none(found: Prompts | None) -> bool:
    """Whether it is known that a sample has no prompts."""
    return found is not None and not len(found)


def _fusion_of(context: StageContext, fusion: MaskFusion | MapFusion, sample_id: str) -> MaskFusion:
    if isinstance(fusion, MapFusion):
        return fusion.on_map(read_map(context.parents["saliency"], sample_id))
    return fusion


def _reader(context: StageContext) -> Callable[[str], StoredEmbedding]:
    """Reads what stage `sam_embedding` stored of a sample's image."""
    image_of = {sample.id: sample.image for sample in context.dataset.samples}

    def read(sample_id: str) -> StoredEmbedding:
        embedding = context.parents["sam_embedding"].features(image_of[sample_id])
        rows, columns = context.parents["coarse_mask"].mask(sample_id).shape
        return embedding, (rows, columns)

    return read
