"""Stage: masks, probabilities and uncertainty by an ensemble of nnU-Net's checkpoints, or by the last one alone."""

from typing import Any

import torch

from medsam_exp import distributed
from medsam_exp.lightning.nnunet_inference import EnsembleAnswer, EnsembleModule, ensemble_loader
from medsam_exp.lightning.nnunet_snapshots import FINAL
from medsam_exp.nnunet.ensemble import EnsembleSettings
from medsam_exp.nnunet.inference import Predictor
from medsam_exp.nnunet.results import ResultsFolder, results_folder
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.train_nnunet import members_pattern
from medsam_exp.types import Sample, UserError
from medsam_exp.uncertainty.scores import image_scores
from medsam_exp.uncertainty.temperature import apply_temperature


def run(context: StageContext) -> None:
    """Write a mask for each pending sample, with its probability and uncertainty maps.

    An image of several samples (one for each class) is predicted once.
    """
    settings: EnsembleSettings = context.build("ensemble")
    results = _members(context, settings, single=context.artifacts.stage.endswith("_single"))
    predictor = Predictor(results, torch.device("cpu"), mirroring=settings.mirroring, step=settings.step)
    samples: dict[str, list[Sample]] = {}
    for sample in context.dataset.samples:
        if sample.id in context.pending:
            samples.setdefault(sample.image_id or sample.id, []).append(sample)
    values = {sample.id: label_value(results, sample) for group in samples.values() for sample in group}
    calibration = context.parents.get("calibrate_ensemble")
    chosen = calibration.info("all") if calibration else {"threshold": settings.threshold, "temperature": 1.0}

    def save(image_id: str, answer: EnsembleAnswer) -> None:
        for sample in samples[image_id]:
            _save(context, sample.id, values[sample.id], answer, chosen)
            context.advance(1)

    loader = ensemble_loader(
        list(samples),
        lambda image_id: context.dataset.read_image(samples[image_id][0].id),
        predictor,
        at_once=context.batch_size,
        workers=context.workers,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )
    context.predict_over(EnsembleModule(predictor, save), loader)


def label_value(results: ResultsFolder, sample: Sample) -> int:
    """Which label of the network a sample asks for.

    Raises:
        UserError: the network knows several classes, and none by the sample's name.
    """
    classes = {name: value for name, value in results.labels.items() if value}
    if len(classes) == 1:
        return next(iter(classes.values()))
    if sample.class_name not in classes:
        raise UserError(
            f"{sample.id} asks for {sample.class_name}, but the network in {results.folder} knows "
            f"{', '.join(classes)}; name the classes of data alike"
        )
    return classes[sample.class_name]


def _members(context: StageContext, settings: EnsembleSettings, *, single: bool) -> ResultsFolder:
    """The checkpoints: of the run's own training, or of a given results folder."""
    trained = [parent for parent in context.parents.values() if parent.stage.startswith("train_")]
    if not trained:
        given = settings.trained_elsewhere()
        assert given is not None  # checked with the configuration
        return ResultsFolder(given.folder, given.members[:1]) if single else given
    record = trained[0].info("all")
    folder = trained[0].folder / record["results"]
    if single:
        return results_folder(folder, FINAL, record["folds"][:1])
    return results_folder(folder, members_pattern(record), record["folds"])


def _save(
    context: StageContext, sample_id: str, value: int, answer: EnsembleAnswer, chosen: dict[str, Any]
) -> None:
    probabilities = answer.probabilities
    foreground = probabilities[value]
    several = len(probabilities) > 2
    mask = probabilities.argmax(0) == value if several else foreground > chosen["threshold"]
    scores = image_scores(foreground, answer.maps, mask) | {"disagreement": answer.disagreement}
    maps = {"probability": foreground, **answer.maps}
    if chosen["temperature"] != 1.0:
        maps["calibrated_probability"] = apply_temperature(probabilities, chosen["temperature"])[value]
    info: dict[str, Any] = {"members": answer.members, "scores": {}}
    info |= {key: chosen[key] for key in ("threshold", "temperature")}
    if context.artifacts.stage == "nnunet_ensemble":
        info["scores"] = {"uncertainty": scores}
    context.artifacts.save(sample_id, info, mask, maps)
