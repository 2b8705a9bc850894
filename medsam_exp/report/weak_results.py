"""What a run found by weak supervision, gathered from its stages for summary, report and the list to review."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from medsam_exp.data.patients import clusters_of, known_patients
from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.clusters import picked
from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.nnunet.environment import DATASET_ID, RAW, RESULTS
from medsam_exp.nnunet.settings import CONFIGURATION
from medsam_exp.stages.pipeline import STAGES, mask_stages
from medsam_exp.types import Dataset

_RESULTS = ("weak", "weak_single")
_AGAINST = (("sam", "coarse"), ("weak_single",), ("reference", "reference_single"))
"""What the last weakly supervised masks are compared with: of each row the first that the run has."""
_COMPARED = ("dsc", "nsd")
_ELSEWHERE = ("dsc", "doubt", "oracle", "ranking", "chosen", "id")
"""Parts of the uncertainty stage's record that grow with the number of images, or are said anyway."""
_TRUE_MASKS, _FOLDER = "ground_truth", "folder"


def weak_label_results(engine: Engine, cfg: DictConfig) -> dict[str, dict[str, Any]]:
    """Labels of a run by stage: where they come from, what was dropped and why, where nnU-Net's folders are."""
    found = {}
    for stage in _label_stages(engine):
        record = engine.artifacts[stage].info("all")
        found[stage] = {
            "policy": str(cfg[stage]["_target_"]).split(".")[-2],
            **{name: record[name] for name in ("source", "data", "split")},
            "kept": len(record["kept"]),
            "dropped": record["dropped"],
            "classes": [name for name, value in record["labels"].items() if value],
            "raw_dataset": str((engine.artifacts[stage].folder / record["raw"]).resolve()),
            **_training(engine, stage),
        }
        found[stage]["how_to_go_on"] = _how_to_go_on(found[stage])
    return found


def _label_stages(engine: Engine) -> list[str]:
    """Stages of the run that made labels."""
    return [name for name, stage in STAGES.items() if stage.makes_labels and name in engine.artifacts]


def _training(engine: Engine, labels: str) -> dict[str, Any]:
    """What was trained on the labels of a stage; nothing where nothing was."""
    trained = next((stage for stage in engine.artifacts if labels in STAGES[stage].parents), None)
    if trained is None:
        return {}
    record = engine.artifacts[trained].info("all")
    return {
        "results": str((engine.artifacts[trained].folder / record["results"]).resolve()),
        **{name: record[name] for name in ("folds", "snapshots")},
        "training": record["figures"],
    }


def _how_to_go_on(facts: Mapping[str, Any]) -> str:
    """One sentence with the commands of an unchanged nnU-Net."""
    raw = f"{RAW}={Path(facts['raw_dataset']).parent}"
    if "results" not in facts:
        return (
            f"With {raw}, and nnUNet_preprocessed and {RESULTS} set to folders of your own, unchanged nnU-Net goes on: "
            f"nnUNetv2_plan_and_preprocess -d {DATASET_ID}, then nnUNetv2_train {DATASET_ID} {CONFIGURATION} all."
        )
    results = Path(facts["results"])
    trainer, plans, configuration = results.name.split("__")
    return (
        f"With {RESULTS}={results.parent.parent} unchanged nnU-Net predicts with the trained network: "
        f"nnUNetv2_predict -d {DATASET_ID} -c {configuration} -tr {trainer} -p {plans} -f {' '.join(facts['folds'])} "
        f"-i IMAGES -o MASKS (images are named NAME_0000.png); with {raw}, and nnUNet_preprocessed and {RESULTS} set "
        f"to folders of your own, it trains anew on these labels: nnUNetv2_plan_and_preprocess -d {DATASET_ID}, then "
        f"nnUNetv2_train {DATASET_ID} {configuration} all."
    )


def label_notes(labels: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How many labels were dropped."""
    return [
        f"{stage}: {len(facts['dropped'])} of {facts['kept'] + len(facts['dropped'])} images dropped"
        for stage, facts in labels.items()
        if facts["dropped"]
    ]


def label_truth_uses(labels: Mapping[str, Mapping[str, Any]], *, texts_tell: str) -> list[str]:
    """Labels that are true masks or a folder's, and what the texts gave away that made labels."""
    uses = [
        f"{stage}: true masks as labels ({facts['data']}, {facts['split']})"
        for stage, facts in labels.items()
        if facts["source"] == _TRUE_MASKS
    ]
    uses += [
        f"{stage}: masks of a folder as labels, whoever drew them ({facts['data']}, {facts['split']})"
        for stage, facts in labels.items()
        if facts["source"] == _FOLDER
    ]
    if texts_tell:
        uses += [
            f"text: oracle, {texts_tell} ({facts['data']}, {facts['split']})"
            for facts in labels.values()
            if facts["source"] == "zero_shot"
        ]
    return uses


def uncertainty_results(engine: Engine, cfg: DictConfig) -> dict[str, Any]:
    """How an ensemble's masks were made, and of what use its doubt is; without lists over images."""
    if "nnunet_ensemble" not in engine.artifacts or not engine.sample_ids:
        return {}
    ensemble = engine.artifacts["nnunet_ensemble"].info(engine.sample_ids[0])
    found = {name: ensemble[name] for name in ("members", "threshold", "temperature")}
    found["several_classes"] = ensemble["classes"] > 1
    found |= {"review_by": cfg.review.by, "review": cfg.review.images}
    if "calibrate_ensemble" in engine.artifacts:
        chosen = engine.artifacts["calibrate_ensemble"].info("all")
        found["chosen"] = {name: value for name, value in chosen.items() if name != "id"}
    if "uncertainty" not in engine.artifacts:
        return found
    record = engine.artifacts["uncertainty"].info("all")
    ranking = {
        name: {measure: value for measure, value in figures.items() if measure != "curve"}
        for name, figures in record["ranking"].items()
    }
    found |= {name: value for name, value in record.items() if name not in _ELSEWHERE}
    return found | {"ranking": ranking, "oracle_aurc": float(np.mean(record["oracle"]["risk"]))}


def labels_of_network(engine: Engine) -> dict[str, int] | None:
    """Value of each class for the network that the run trained; None where it was trained elsewhere."""
    for stage in _label_stages(engine):
        labels: dict[str, int] = engine.artifacts[stage].info("all")["labels"]
        return labels
    return None


def comparisons(engine: Engine, dataset: Dataset | None, seed: int) -> list[dict[str, Any]]:
    """Weakly supervised masks against zero-shot ones, a single checkpoint and a reference, image by image.

    Of an image that is asked for several classes the mean over its classes counts, and where images share patients
    the patients are compared, so that what is compared is independent.

    Returns:
        `a`, `b` (stages, short), `measure`, and the fields of `PairedComparison`, for each comparison.
    """
    if dataset is None or "evaluate" not in engine.artifacts:
        return []
    made = {short for stage, short in mask_stages().items() if stage in engine.artifacts}
    ours = next((short for short in _RESULTS if short in made), None)
    if ours is None:
        return []
    others = [next((short for short in row if short in made - {ours}), None) for row in _AGAINST]
    image_of = {sample.id: sample.image for sample in dataset.samples}
    patients = clusters_of(known_patients(dataset))
    scores = {sample_id: engine.scores(sample_id) for sample_id in engine.sample_ids}
    found = []
    for other in (short for short in others if short is not None):
        for measure in _COMPARED:
            a, b = (_by_image(scores, image_of, short, measure) for short in (other, ours))
            shared = sorted(a.keys() & b.keys())
            if shared:
                pairs = [a[name] for name in shared], [b[name] for name in shared]
                compared = compare_pairs(*pairs, seed, picked(patients, shared))
                found.append({"a": other, "b": ours, "measure": measure, **asdict(compared)})
    return found


def _by_image(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    image_of: Mapping[str, str],
    short: str,
    measure: str,
) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for sample_id, own in scores.items():
        if measure in own.get(short, {}):
            values.setdefault(image_of[sample_id], []).append(own[short][measure])
    return {image_id: float(np.mean(found)) for image_id, found in values.items()}


def doubt_scores(engine: Engine) -> dict[str, dict[str, float]]:
    """Every score of an ensemble's doubt by sample id, as they are named; empty without an ensemble."""
    if "nnunet_ensemble" not in engine.artifacts:
        return {}
    ensemble = engine.artifacts["nnunet_ensemble"]
    return {name: ensemble.info(name)["scores"]["uncertainty"] for name in engine.sample_ids}
