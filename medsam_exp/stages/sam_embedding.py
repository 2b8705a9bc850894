"""Stage: encode each image for SAM once, for all the prompts that a sweep tries on it."""

import logging
import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medsam_exp.runtime import distributed
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.networks import sam_of_run
from medsam_exp.training.sam_inference import sam_embeddings
from medsam_exp.types import UserError

log = logging.getLogger(__name__)

_BYTES = 4  # float32: masks from a stored embedding equal those from a fresh one


def run(context: StageContext) -> None:
    """Write the (C, g, g) float32 embedding of each pending image.

    Raises:
        UserError: they would take more than `sam_embedding.disk_limit_gb`.
    """
    sam = sam_of_run(context)
    each = math.prod(sam.embedding_shape) * _BYTES
    needed, limit = each * len(context.pending) / 1e9, context.build("sam_embedding")["disk_limit_gb"]
    if needed > limit:
        raise UserError(
            f"SAM embeddings of {len(context.pending)} images would take {needed:.3g} GB, more than "
            f"sam_embedding.disk_limit_gb={limit:g}; raise it, or leave sam_embedding out of stages"
        )
    if distributed.rank() == 0:
        log.info(
            "sam_embedding: %d images, %.3g GB in %s", len(context.pending), needed, context.artifacts.folder
        )
    first_sample = {sample.image: sample.id for sample in reversed(context.dataset.samples)}
    image_of = {first_sample[image]: image for image in context.pending}

    def result(sample_id: str, embedding: NDArray[np.float32]) -> Result:
        return Result(image_of[sample_id], {"shape": list(embedding.shape)}, embedding)

    context.store(sam, partial(sam_embeddings, sam), result, context.images(sam.preprocess), tuple(image_of))
