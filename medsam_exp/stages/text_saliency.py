"""Stage: which words of a text its image asks for."""

from dataclasses import asdict

from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.text_truncation import records_of_cuts
from medsam_exp.training.text_saliency import TextRelevance, TextSaliency


def run(context: StageContext) -> None:
    """Write the relevance of each word, in nats, of each text of each pending sample."""
    clip = clip_of_run(context)
    cuts = records_of_cuts(clip, {name: context.texts[name] for name in context.pending})

    def result(sample_id: str, found: list[TextRelevance]) -> Result:
        return Result(sample_id, {"texts": [asdict(one) for one in found], **cuts[sample_id]})

    answers = TextSaliency(clip, context.build("text_saliency"), context.texts, context.seed)
    context.store(clip, answers, result, context.images(clip.preprocess))
