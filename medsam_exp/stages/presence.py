"""Stage: is the target of the text in the image at all?"""

from medsam_exp.masks.presence.features import network_fingerprint
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.records import PresenceRecord, SaliencyRecord
from medsam_exp.training.presence import PresenceFeatures


def run(context: StageContext) -> None:
    """Write the presence score in [0, 1] of each pending sample, and the features it is made from."""
    clip, scorer, saliency = clip_of_run(context), context.build("presence"), context.parents["saliency"]
    network = network_fingerprint(clip)
    scorer.check_network(network)

    def result(sample_id: str, found: dict[str, dict[str, float]]) -> Result:
        features = found["text"] | saliency.record(sample_id, SaliencyRecord)["relevance"]
        score = scorer(features)
        scores = {"presence": {"probability": score}}
        info: PresenceRecord = {"score": score, "features": features, "network": network, "scores": scores}
        return Result(sample_id, info)

    texts = {sample_id: {"text": context.texts[sample_id]} for sample_id in context.pending}
    answers = PresenceFeatures(clip, scorer, texts, lambda name, _: read_map(saliency, name), context.threads)
    context.store(clip, answers, result, context.images(clip.preprocess))
