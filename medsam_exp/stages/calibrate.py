"""Stage: fits the presence score to true masks, of any split but the test split; a declared reader of ground truth."""

from typing import Any

import numpy as np

from medsam_exp.data.patients import patients_of_samples
from medsam_exp.masks.presence.calibration import Calibration, feature_table, fit_logistic, out_of_fold
from medsam_exp.masks.presence.features import FEATURES
from medsam_exp.metrics.clusters import Clusters, numbered, picked
from medsam_exp.metrics.presence import area_under_roc, presence_figures
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.records import FeaturePresenceRecord
from medsam_exp.types import NetworkPresence, UserError


def run(context: StageContext) -> None:
    """Write `calibration.json` for `presence=calibrated presence.file=...`, and what it reached out of fold."""
    settings, scorer, data = context.build("calibration"), context.build("presence"), context.dataset
    assert not isinstance(scorer, NetworkPresence)  # the configuration's check has refused it
    if data.split == "test":
        raise UserError(
            f"calibrate would read the masks of {data.name}'s test split; give another data.split"
        )
    ids = [sample.id for sample in data.samples]
    records = [context.parents["presence"].record(sample_id, FeaturePresenceRecord) for sample_id in ids]
    present = np.array([data.read_ground_truth(sample_id).any() for sample_id in ids])
    rows = [record["features"] for record in records]
    values = feature_table(rows, settings["features"])
    clusters = picked(patients_of_samples(data), ids)
    _refuse_too_few(present, settings["folds"], clusters)
    unseen = out_of_fold(
        values, present, settings["regularization"], settings["folds"], context.seed, clusters
    )
    figures = presence_figures(unseen, present, context.seed, clusters)
    single = {name: area_under_roc(feature_table(rows, [name])[:, 0], present) for name in FEATURES}
    provenance: dict[str, Any] = {
        **{key: settings[key] for key in ("data", "clip", "regularization", "folds")},
        "split": settings["split"] if settings["seed"] is None else f"seed {settings['seed']}",
        "seed": context.seed,
        "images": len(ids),
        "with_target": int(present.sum()),
        "out_of_fold": {name: figure["mean"] for name, figure in figures.items()},
        "auc_of_single_features": single,
    }
    Calibration(
        features=tuple(settings["features"]),
        **fit_logistic(values, present, settings["regularization"]),
        absence_texts=scorer.absence_texts,
        nonsense_texts=scorer.nonsense_texts,
        network=records[0]["network"],
        provenance=provenance,
    ).write(context.artifacts.folder / "calibration.json")
    context.save("all", {"figures": figures, "provenance": provenance})


def _refuse_too_few(present: np.ndarray, folds: int, clusters: Clusters | None) -> None:
    """Folds go by patient where several images share one, else by image."""
    shared = numbered(clusters)
    members, unit = (np.arange(len(present)), "images") if shared is None else (shared, "patients")
    there, lacking = (len(np.unique(members[which])) for which in (present, ~present))
    if min(there, lacking) < folds:
        raise UserError(
            f"calibrate needs at least calibration.folds={folds} {unit} with the target and as many without, "
            f"but data has {there} and {lacking}: lower calibration.folds or give more {unit}"
        )
