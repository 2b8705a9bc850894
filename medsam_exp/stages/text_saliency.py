"""Stage: which words of a text its image asks for."""

from dataclasses import asdict

from medsam_exp.stages.context import StageContext
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.text_truncation import record_of_cuts
from medsam_exp.training.text_saliency import TextRelevance, TextSaliency


def run(context: StageContext) -> None:
    """Write the relevance of each word, in nats, of each text of each pending sample."""
    clip = clip_of_run(context)

    def save(sample_id: str, found: list[TextRelevance]) -> None:
        cuts = record_of_cuts(clip, context.texts[sample_id])
        context.save(sample_id, {"texts": [asdict(one) for one in found], **cuts})

    answers = TextSaliency(clip, context.build("text_saliency"), context.texts, context.seed)
    context.predict(clip, answers, save, context.images(clip.preprocess))
