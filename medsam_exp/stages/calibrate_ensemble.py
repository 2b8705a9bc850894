"""Stage: choose the ensemble's threshold and temperature with the masks of a split that is never scored."""

import numpy as np

from medsam_exp.nnunet.uncertainty.reliability import near_prediction
from medsam_exp.nnunet.uncertainty.temperature import fit_temperature, temperature_interval
from medsam_exp.nnunet.uncertainty.threshold import best_threshold, dsc_over_thresholds
from medsam_exp.runtime import distributed
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.records import ChosenRecord
from medsam_exp.types import UserError

THRESHOLDS = np.linspace(0.05, 0.95, 91)
_PIXELS = 20_000  # of each image at most


def run(context: StageContext) -> None:
    """Write the threshold with the best mean DSC, and the temperature that fits the pixels near what is predicted.

    Raises:
        UserError: none of the images shows a target.
    """
    other, settings = context.auxiliary, context.build("uncertainty")
    assert other is not None
    if distributed.rank() > 0:
        return
    ensemble = other.artifacts["nnunet_ensemble"]
    dice, images, shown = [], [], False
    for sample in other.dataset.samples:
        probability = ensemble.maps(sample.id)["probability"]
        truth = other.dataset.read_ground_truth(sample.id)
        dice.append(dsc_over_thresholds(probability, truth, THRESHOLDS))
        places = np.flatnonzero(near_prediction(probability, settings["near_px"]))
        places = places[:: max(1, -(-len(places) // _PIXELS))]
        images.append((probability.ravel()[places], truth.ravel()[places]))
        shown = shown or bool(truth.any())
    if not shown:
        raise UserError(
            f"no image of calibration_data ({other.dataset.name}, {other.dataset.split}) shows a target, so nothing "
            "can be chosen with them; give others"
        )
    mean = np.mean(dice, axis=0)
    temperature = fit_temperature(*map(np.concatenate, zip(*images, strict=True)))
    threshold = best_threshold(dice, THRESHOLDS)
    record: ChosenRecord = {
        "data": other.dataset.name,
        "split": other.dataset.split,
        "images": len(other.dataset.samples),
        "threshold": threshold,
        "temperature": temperature,
        "temperature_ci95": temperature_interval(images, temperature),
        "dsc": float(mean[np.argmin(abs(THRESHOLDS - threshold))]),
        "dsc_at_half": float(mean[np.argmin(abs(THRESHOLDS - 0.5))]),
    }
    context.save("all", record)
