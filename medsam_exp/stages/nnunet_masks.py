"""Stage: masks, probabilities and uncertainty by an ensemble of nnU-Net's checkpoints, or by the last one alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from medsam_exp.nnunet.ensemble import EnsembleSettings
from medsam_exp.nnunet.inference import Predictor, PreparedImage
from medsam_exp.nnunet.results import ResultsFolder, results_folder
from medsam_exp.nnunet.uncertainty.scores import image_scores
from medsam_exp.nnunet.uncertainty.temperature import apply_temperature
from medsam_exp.nnunet.weak_label.compose import by_image, label_value
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.pipeline import STAGES, Stage
from medsam_exp.stages.records import NnunetTrainedRecord
from medsam_exp.stages.train_nnunet import members_pattern
from medsam_exp.stages.trained_files import trained_results
from medsam_exp.training.nnunet_inference import EnsembleAnswer, ensemble_answers
from medsam_exp.training.nnunet_snapshots import FINAL


def run(context: StageContext) -> None:
    """Write a mask for each pending sample, with its probability and uncertainty maps.

    An image of several samples (one for each class) is predicted once.
    """
    settings = context.build("ensemble")
    results = _members(context, settings, single=STAGES[context.artifacts.stage].single)
    predictor = Predictor(
        results, mirroring=settings.mirroring, step=settings.step, precision=settings.precision
    )
    pending = frozenset(context.pending)
    asked = [sample for sample in context.dataset.samples if sample.id in pending]
    samples, labels = by_image(asked), results.labels
    values = {sample.id: label_value(labels, sample) for sample in asked}
    calibration = context.parents.get("calibrate_ensemble")
    chosen = calibration.info("all") if calibration else {"threshold": settings.threshold, "temperature": 1.0}

    def read(image_ids: Sequence[str]) -> list[tuple[str, PreparedImage]]:
        return [
            (image_id, predictor.prepare(context.read_image(samples[image_id][0].id)))
            for image_id in image_ids
        ]

    def answers(batch: Sequence[tuple[str, PreparedImage]]) -> Iterator[tuple[str, EnsembleAnswer]]:
        for image_id, answer in ensemble_answers(predictor, batch):
            for sample in samples[image_id]:
                yield sample.id, answer

    def result(sample_id: str, answer: EnsembleAnswer) -> Result:
        return _result(STAGES[context.artifacts.stage], sample_id, values[sample_id], answer, chosen)

    context.store(predictor.network, answers, result, read, list(samples))


def _members(context: StageContext, settings: EnsembleSettings, *, single: bool) -> ResultsFolder:
    """The checkpoints: of the run's own training, or of a given results folder."""
    trained = [parent for parent in context.parents.values() if STAGES[parent.stage].trains]
    if not trained:
        given = settings.trained_elsewhere()
        assert given is not None  # checked with the configuration
        if not single:
            return given
        first_fold = [member for member in given.members if member.parent == given.members[0].parent]
        return ResultsFolder(given.folder, tuple(first_fold[-1:]))
    record = trained[0].record("all", NnunetTrainedRecord)
    folder = trained_results(trained[0])
    if single:
        return results_folder(folder, FINAL, record["folds"][:1])
    return results_folder(folder, members_pattern(record), record["folds"])


def _result(
    row: Stage, sample_id: str, value: int | None, answer: EnsembleAnswer, chosen: dict[str, Any]
) -> Result:
    probabilities = answer.probabilities
    wanted = [value] if value is not None else list(range(1, len(probabilities)))
    foreground = probabilities[wanted].sum(0)
    several = len(probabilities) > 2
    mask = np.isin(probabilities.argmax(0), wanted) if several else foreground > chosen["threshold"]
    scores = image_scores(foreground, answer.maps, mask) | {"disagreement": answer.disagreement}
    maps = {"probability": foreground, **answer.maps}
    if chosen["temperature"] != 1.0:
        calibrated = apply_temperature(probabilities, chosen["temperature"])
        maps["calibrated_probability"] = calibrated[wanted].sum(0)
    info: dict[str, Any] = {"members": answer.members, "classes": len(probabilities) - 1, "scores": {}}
    info |= {key: chosen[key] for key in ("threshold", "temperature")}
    if row.supervision == "weak" and not row.single:
        info["scores"] = {"uncertainty": scores}
    return Result(sample_id, info, mask, maps)
