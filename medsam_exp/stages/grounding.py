"""Stage: how far the map moves under control texts, and how often they give an empty mask."""

from collections.abc import Callable, Mapping
from functools import partial

from medsam_exp.masks.presence.features import network_fingerprint
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.saliency.grounding.map_shift import diagonal_px, map_correlation, peak_shift_px
from medsam_exp.stages.coarse_mask import mask_maker
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.records import ControlRecord, PresenceRecord
from medsam_exp.training.presence import PresenceFeatures
from medsam_exp.training.text_segmentation import prepare_images, text_presence
from medsam_exp.types import NetworkPresence, SaliencyMap

_OWN = "own"
"""The label of the image's own text beside the kinds of control."""


def run(context: StageContext) -> None:
    """Write the scores of each pending sample; masks are made as the run makes them, veto included."""
    make = mask_maker(context)
    saliency, controls = context.parents["saliency"], context.parents["control_maps"]

    def result(sample_id: str, presence: Mapping[str, float]) -> Result:
        image, own = context.read_image(sample_id), read_map(saliency, sample_id)
        maps = {kind: read_map(controls, sample_id, place) for place, kind in enumerate(KINDS)}
        scores: dict[str, float] = {}
        for kind, control in maps.items():
            scores |= _shift(own, control, kind)
        for label, saliency_map in {_OWN: own, **maps}.items():
            score = presence.get(label)
            scores[f"empty_{label}"] = float(not make(saliency_map, image, score)[0].any())
            scores |= {} if score is None else {f"presence_{label}": score}
        texts = controls.record(sample_id, ControlRecord)["texts"]
        return Result(sample_id, {"texts": texts, "scores": {"grounding": scores}})

    if "presence" in context.parents:
        _find_presence(context, result)
    else:
        context.compute(lambda sample_id: result(sample_id, {}))


def _find_presence(context: StageContext, result: Callable[[str, Mapping[str, float]], Result]) -> None:
    """The control texts get a presence score too, by the same network and scorer as the image's own text."""
    scorer, controls = context.build("presence"), context.parents["control_maps"]
    records = {sample_id: controls.record(sample_id, ControlRecord) for sample_id in context.pending}

    texts = {
        sample_id: {kind: tuple(given) for kind, given in record["texts"].items()}
        for sample_id, record in records.items()
    }

    def with_own(sample_id: str, presence: Mapping[str, float]) -> Result:
        own = context.parents["presence"].record(sample_id, PresenceRecord)["score"]
        return result(sample_id, {_OWN: own, **presence})

    if isinstance(scorer, NetworkPresence):
        network = scorer.network()
        answers = partial(text_presence, network, texts)
        context.store(network, answers, with_own, partial(prepare_images, context.read_image, network))
        return
    clip = clip_of_run(context)
    scorer.check_network(network_fingerprint(clip))

    def map_of(sample_id: str, kind: str) -> SaliencyMap:
        return read_map(controls, sample_id, KINDS.index(kind))

    def scored(sample_id: str, found: dict[str, dict[str, float]]) -> Result:
        relevance = records[sample_id]["relevance"]
        return with_own(
            sample_id, {kind: scorer(features | relevance[kind]) for kind, features in found.items()}
        )

    features = PresenceFeatures(clip, scorer, texts, map_of, context.threads)
    context.store(clip, features, scored, context.images(clip.preprocess))


def _shift(own: SaliencyMap, control: SaliencyMap, kind: str) -> dict[str, float]:
    """What one control text does to the map; no peak shift where a map has no peak."""
    shift = peak_shift_px(own, control)
    found = {f"correlation_{kind}": map_correlation(own, control)}
    if shift is not None:
        found[f"peak_shift_px_{kind}"] = shift
        found[f"peak_shift_fraction_{kind}"] = shift / diagonal_px((own.shape[0], own.shape[1]))
    return found
