"""Stage: does what a mask covers match the image's text, and not others? Needs no ground truth."""

from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.pipeline import mask_stages
from medsam_exp.training.text_match import TextMatches


def run(context: StageContext) -> None:
    """Write the text match of each mask of each pending sample."""
    clip, labels = clip_of_run(context), mask_stages()
    makers = [stage for stage in context.parents if stage in labels]

    def result(sample_id: str, found: list[float]) -> Result:
        scores = {labels[stage]: {"text_match": score} for stage, score in zip(makers, found, strict=True)}
        return Result(sample_id, {"scores": scores})

    answers = TextMatches(
        clip,
        context.build("text_match"),
        context.texts,
        context.read_image,
        lambda sample_id: [context.parents[stage].mask(sample_id) for stage in makers],
        context.batch_size,
    )
    context.store(clip, answers, result, answers.read)
