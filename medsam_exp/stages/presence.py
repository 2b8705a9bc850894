"""Stage: is the target of the text in the image at all?"""

from functools import partial

from medsam_exp.masks.presence.features import network_fingerprint
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.records import FeaturePresenceRecord, PresenceRecord, SaliencyRecord
from medsam_exp.stages.text_truncation import records_of_cuts, warn_of_cuts
from medsam_exp.training.presence import PresenceFeatures
from medsam_exp.training.text_segmentation import prepare_images, text_presence
from medsam_exp.types import NetworkPresence, PresenceScorer

_OWN = "text"


def run(context: StageContext) -> None:
    """Write the presence score in [0, 1] of each pending sample, and the features it is made from, if any."""
    scorer = context.build("presence")
    if isinstance(scorer, NetworkPresence):
        _ask_network(context, scorer)
    else:
        _score_features(context, scorer)


def _score_features(context: StageContext, scorer: PresenceScorer) -> None:
    clip, saliency = clip_of_run(context), context.parents["saliency"]
    network = network_fingerprint(clip)
    scorer.check_network(network)

    def result(sample_id: str, found: dict[str, dict[str, float]]) -> Result:
        features = found[_OWN] | saliency.record(sample_id, SaliencyRecord)["relevance"]
        score = scorer(features)
        scores = {"presence": {"probability": score}}
        info: FeaturePresenceRecord = {
            "score": score,
            "features": features,
            "network": network,
            "scores": scores,
        }
        return Result(sample_id, info)

    texts = {sample_id: {_OWN: context.texts[sample_id]} for sample_id in context.pending}
    answers = PresenceFeatures(clip, scorer, texts, lambda name, _: read_map(saliency, name), context.threads)
    context.store(clip, answers, result, context.images(clip.preprocess))


def _ask_network(context: StageContext, scorer: NetworkPresence) -> None:
    network = scorer.network()
    cuts = records_of_cuts(network, {name: context.texts[name] for name in context.pending})
    warn_of_cuts(cuts)

    def result(sample_id: str, found: dict[str, float]) -> Result:
        score = found[_OWN]
        info: PresenceRecord = {
            "score": score,
            **cuts[sample_id],
            "scores": {"presence": {"probability": score}},
        }
        return Result(sample_id, info)

    texts = {sample_id: {_OWN: context.texts[sample_id]} for sample_id in context.pending}
    answers = partial(text_presence, network, texts)
    context.store(network, answers, result, partial(prepare_images, context.read_image, network))
