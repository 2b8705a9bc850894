"""Stage: does the ensemble's uncertainty tell which masks are wrong; a declared reader of ground truth."""

from typing import Any

import numpy as np

from medsam_exp.data.patients import patients_of_samples
from medsam_exp.metrics.clusters import Clusters, picked
from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.uncertainty.quality import aurc, correlations, excess_aurc, risk_coverage
from medsam_exp.nnunet.uncertainty.reliability import ReliabilityBins, near_prediction
from medsam_exp.nnunet.uncertainty.scores import uncertainties
from medsam_exp.stages.context import StageContext


def run(context: StageContext) -> None:
    """Write how each uncertainty score ranks the images' errors, and how far probabilities keep their promise."""
    settings, ensemble, data = (
        context.build("uncertainty"),
        context.parents["nnunet_ensemble"],
        context.dataset,
    )
    calibration = context.parents.get("calibrate_ensemble")
    chosen = calibration.info("all") if calibration else None
    bins, calibrated = ReliabilityBins(settings["bins"]), ReliabilityBins(settings["bins"])
    scores: dict[str, dict[str, float]] = {}
    dsc: dict[str, float] = {}
    for sample in data.samples:
        mask, truth, maps = (
            ensemble.mask(sample.id),
            data.read_ground_truth(sample.id),
            ensemble.maps(sample.id),
        )
        dsc[sample.id] = dice(mask, truth)
        scores[sample.id] = uncertainties(ensemble.info(sample.id)["scores"]["uncertainty"])
        region = near_prediction(maps["probability"], settings["near_px"])
        bins.add(maps["probability"], truth, region)
        if "calibrated_probability" in maps:
            calibrated.add(maps["calibrated_probability"], truth, region)
    names = list(next(iter(scores.values())))
    risk = np.array([1 - dsc[name] for name in dsc])
    columns = {name: np.array([scores[sample_id][name] for sample_id in dsc]) for name in names}
    clusters = picked(patients_of_samples(data), dsc)
    ranking = {name: _ranking(values, risk, context.seed, clusters) for name, values in columns.items()}
    record: dict[str, Any] = {
        "images": len(dsc),
        "mean_risk": float(risk.mean()),
        "oracle": _curve(risk, risk),
        "ranking": ranking,
        "best_score": min(ranking, key=lambda name: ranking[name]["aurc"]),
        "calibration": _calibration(bins),
        "near_px": settings["near_px"],
        "dsc": dsc,
        "doubt": scores,
    }
    if chosen is not None:
        record |= {"chosen": chosen, "calibrated": _calibration(calibrated if calibrated.count else bins)}
    context.save("all", record)


def _ranking(doubt: np.ndarray, risk: np.ndarray, seed: int, clusters: Clusters | None) -> dict[str, Any]:
    """How well one score ranks the images; it was chosen by nobody, so all of them are shown."""
    return {
        **correlations(doubt, 1 - risk, seed, clusters),
        "aurc": aurc(doubt, risk),
        "excess_aurc": excess_aurc(doubt, risk),
        "curve": _curve(doubt, risk),
    }


def _curve(doubt: np.ndarray, risk: np.ndarray) -> dict[str, list[float]]:
    coverage, kept_risk = risk_coverage(doubt, risk)
    return {"coverage": coverage.tolist(), "risk": kept_risk.tolist()}


def _calibration(bins: ReliabilityBins) -> dict[str, Any]:
    curve = bins.curve()
    return {
        "ece": bins.ece(),
        "brier": bins.brier(),
        "nll": bins.nll(),
        "pixels": bins.count,
        "confidence": curve.confidence.tolist(),
        "frequency": curve.frequency.tolist(),
        "count": curve.count.tolist(),
    }
