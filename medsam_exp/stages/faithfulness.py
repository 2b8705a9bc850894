"""Stage: does the image masked by its saliency map still match its text? Needs no ground truth."""

from functools import partial

from medsam_exp.metrics.saliency_maps import confidence_drop, confidence_increase
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.training.faithfulness import Faithfulness


def run(context: StageContext) -> None:
    """Write the confidence drop and increase of each pending sample, and the similarities they come from.

    Confidence is the cosine similarity of the text's embedding (the mean of the unit embeddings of several texts)
    and the image's. The masked image is the preprocessed image times the map.
    """
    clip = clip_of_run(context)

    def result(sample_id: str, original: float, masked: float) -> Result:
        drop = confidence_drop(original, masked)
        scores = {
            **({} if drop is None else {"confidence_drop": drop}),
            "confidence_increase": confidence_increase(original, masked),
        }
        similarities = {"similarity": original, "similarity_masked": masked}
        return Result(sample_id, {"scores": {"saliency": scores}, **similarities})

    maps = partial(read_map, context.parents["saliency"])
    answers = Faithfulness(clip, context.texts, maps, context.threads)
    context.store(clip, answers, result, context.images(clip.preprocess))
