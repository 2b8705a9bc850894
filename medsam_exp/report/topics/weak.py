"""Weak supervision: the labels that a run made and trained on, and its masks compared image by image."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from omegaconf import DictConfig

from medsam_exp.data.patients import clusters_of, known_patients
from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.clusters import picked
from medsam_exp.metrics.measures import (
    MISSING,
    Cell,
    by_patient,
    interval,
    measure_label,
    number,
    probability,
    signed,
)
from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.nnunet.environment import DATASET_ID, RAW, RESULTS
from medsam_exp.nnunet.settings import CONFIGURATION
from medsam_exp.report.section import Details, Part, Row, Section, Table
from medsam_exp.stages.pipeline import STAGES, mask_stages, stage_title
from medsam_exp.types import Dataset

_SOURCES = {
    "zero_shot": "zero-shot masks of this pipeline",
    "earlier_network": "masks of an nnU-Net that an earlier run trained",
    "folder": "masks of a folder",
    "ground_truth": "true masks",
}
_WEAK = ("weak", "weak_single")
_RIVAL = ("text",)
_AGAINST = (("sam", "coarse"), ("weak_single",), ("reference", "reference_single"), _RIVAL)
"""What the last weakly supervised masks are compared with: of each row the first that the run has. Those of the
zero-shot method are compared with a rival's alone."""
_COMPARED = ("dsc", "nsd")


def labels_section(summary: Mapping[str, Any]) -> Section | None:
    """Labels of a run: their origin, what was dropped and why, what was trained; None where a run made none."""
    parts = [_label_part(stage, facts) for stage, facts in summary.get("weak_labels", {}).items()]
    return Section("labels", "Labels", parts) if parts else None


def _label_part(stage: str, facts: Mapping[str, Any]) -> Part:
    dropped = facts["dropped"]
    details = [Details(f"{len(dropped)} dropped, with reasons", dropped)] if dropped else []
    named = {"raw dataset": "raw_dataset", "trained network": "results"}
    folders = {what: facts[key] for what, key in named.items() if key in facts}
    details.append(
        Details("Folders, and how to go on with unchanged nnU-Net", folders, facts["how_to_go_on"])
    )
    return Part(
        STAGES[stage].title if stage in STAGES else stage,
        sentences=[_kept(facts), *_trusted(facts), *_trained(facts)],
        details=details,
    )


def _kept(facts: Mapping[str, Any]) -> str:
    total = facts["kept"] + len(facts["dropped"])
    classes = f"classes: {', '.join(facts['classes'])}" if len(facts["classes"]) > 1 else "one class"
    source = _SOURCES.get(facts["source"], facts["source"])
    return (
        f"Policy “{facts['policy']}” ({source}) on {facts['data']}, split “{facts['split']}”: "
        f"{facts['kept']} of {total} images kept, {len(facts['dropped'])} dropped; {classes}."
    )


def _trusted(facts: Mapping[str, Any]) -> list[str]:
    """Which pixels and images the training trusts less; nothing where it trusts all alike."""
    said = []
    if unknown := facts.get("unknown"):
        said.append(
            f"{100 * unknown:.2g} % of their pixels are unknown (label_ignore); nothing is learnt there."
        )
    if least := facts.get("least_weight"):
        said.append(
            f"Images are drawn by the trust in their labels (label_weight), the least at {number(least)} of the most."
        )
    return said


def _trained(facts: Mapping[str, Any]) -> list[str]:
    if "results" not in facts:
        return []
    figures = ", ".join(
        f"{name.replace('_', ' ').replace('/', ', ', 1)} {number(value)}"
        for name, value in facts["training"].items()
        if name.rpartition("/")[2] in ("loss", "pseudo_dice")
    )
    snapshots = facts["snapshots"]
    kept = (
        f"{len(snapshots)} checkpoints of each fold kept, after epochs {', '.join(map(str, snapshots))}"
        if snapshots
        else "the last checkpoint kept"
    )
    return [
        f"nnU-Net trained on them, folds {', '.join(facts['folds'])}: {kept}. At the end: {figures}.",
        "Pseudo-Dice and losses are measured against these labels, over patches; they are no scores of masks.",
    ]


def comparison_section(summary: Mapping[str, Any]) -> Section | None:
    """Paired comparisons of a run's masks; None without ground truth or without two stages."""
    if not (comparisons := summary.get("comparison")):
        return None
    named = ", by patient" if any(map(by_patient, comparisons)) else ""
    columns = [
        "Measure",
        "Mean difference",
        f"Wilcoxon p{named}",
        f"t-test p{named}",
        Markup("Cohen’s d<sub>z</sub>"),
        "Rank-biserial",
        "Better / worse / same",
    ]
    table = Table("Comparison", "First − second", columns, list(map(_comparison_row, comparisons)), last="Of")
    lines = [("compared", _comparison_sentence(found)) for found in comparisons]
    part = Part(table=table, hints=_comparison_hints(comparisons), console=lines)
    return Section("comparison", "Comparison", [part])


def _comparison_row(found: Mapping[str, Any]) -> Row:
    patients = found.get("patients")
    effects = (found[name] for name in ("cohen_dz", "rank_biserial"))
    return Row(
        _compared(found),
        [
            measure_label(found["measure"]),
            Cell(_difference(found["difference"]), interval(found["ci95"], 3, _difference), ""),
            probability(found["wilcoxon_p"]),
            probability(found["t_p"]),
            *(MISSING if effect is None else signed(effect, 2) for effect in effects),
            f"{found['better']} / {found['worse']} / {found['n'] - found['better'] - found['worse']}",
        ],
        f"{found['n']} images" + ("" if patients is None else f", {patients} patients"),
    )


def _comparison_sentence(found: Mapping[str, Any]) -> str:
    measure, difference, p, *_ = _comparison_row(found).cells
    assert isinstance(difference, Cell)
    test = "Wilcoxon p by patient" if by_patient(found) else "Wilcoxon p"
    return f"{_compared(found)}: {measure} {difference.value} {difference.interval}, {test} {p}"


def _compared(found: Mapping[str, Any]) -> str:
    second = stage_title(found["a"])
    if second[:2].istitle():  # no acronym
        second = f"{second[0].lower()}{second[1:]}"
    return f"{stage_title(found['b'])} − {second}"


def _comparison_hints(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader must know to believe the table, each said once."""
    remarks = [remark for found in comparisons for remark in found["remarks"]]
    grouped = any(map(by_patient, comparisons))
    tests = (
        " By patient: the Wilcoxon signed-rank test changes the signs of whole patients, the t-test is of the "
        "patients’ mean differences; the other figures are over images."
    )
    return [
        "Mean of the differences over images, first minus second, [95 % confidence interval by resampling "
        f"{'patients' if grouped else 'images'}]; "
        f"p two-sided and not corrected for the {len(comparisons)} lines of this table.{tests if grouped else ''}",
        *(f"{remark[0].upper()}{remark[1:]}." for remark in dict.fromkeys(remarks)),
    ]


def _difference(value: float, decimals: int = 3) -> str:
    return signed(value, decimals, "+")


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
            "unknown": record["unknown"],
            "least_weight": _least_weight(record["weights"]),
            "raw_dataset": str((engine.artifacts[stage].folder / record["raw"]).resolve()),
            **_training(engine, stage),
        }
        found[stage]["how_to_go_on"] = _how_to_go_on(found[stage])
    return found


def _least_weight(weights: Mapping[str, float]) -> float | None:
    """The smallest of the images' weights as a share of the largest; None where all are equal."""
    return min(weights.values()) / max(weights.values()) if weights else None


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
    own = f"and nnUNet_preprocessed and {RESULTS} set to folders of your own"
    folders = f"{RAW}={Path(facts['raw_dataset']).parent}, {own}"
    train = f"nnUNetv2_plan_and_preprocess -d {DATASET_ID}, then nnUNetv2_train {DATASET_ID}"
    if "results" not in facts:
        return f"With {folders}, unchanged nnU-Net goes on: {train} {CONFIGURATION} all."
    results = Path(facts["results"])
    trainer, plans, configuration = results.name.split("__")
    return (
        f"With {RESULTS}={results.parent.parent} unchanged nnU-Net predicts with the trained network: "
        f"nnUNetv2_predict -d {DATASET_ID} -c {configuration} -tr {trainer} -p {plans} -f {' '.join(facts['folds'])} "
        f"-i IMAGES -o MASKS (images are named NAME_0000.png); with {folders}, it trains anew on these labels: {train} "
        f"{configuration} all."
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
    said = {
        "ground_truth": "true masks as labels",
        "folder": "masks of a folder as labels, whoever drew them",
    }
    uses = [
        f"{stage}: {words} ({facts['data']}, {facts['split']})"
        for source, words in said.items()
        for stage, facts in labels.items()
        if facts["source"] == source
    ]
    made = [facts for facts in labels.values() if facts["source"] == "zero_shot"] if texts_tell else []
    return uses + [f"text: oracle, {texts_tell} ({facts['data']}, {facts['split']})" for facts in made]


def labels_of_network(engine: Engine) -> dict[str, int] | None:
    """Value of each class for the network that the run trained; None where it was trained elsewhere."""
    stage = next(iter(_label_stages(engine)), None)
    return engine.artifacts[stage].info("all")["labels"] if stage else None


def comparisons(engine: Engine, dataset: Dataset | None, seed: int) -> list[dict[str, Any]]:
    """Weakly supervised masks against zero-shot ones, a single checkpoint and a reference, image by image.

    And any of a run's masks against those of a text-prompted segmenter.

    Of an image that is asked for several classes the mean over its classes counts, and where images share patients
    the patients are compared, so that what is compared is independent.

    Returns:
        `a`, `b` (stages, short), `measure`, and the fields of `PairedComparison`, for each comparison.
    """
    if dataset is None or "evaluate" not in engine.artifacts:
        return []
    made = {short for stage, short in mask_stages().items() if stage in engine.artifacts}
    ours = next((short for short in (*_WEAK, "sam", "coarse") if short in made), None)
    if ours is None:
        return []
    rows = _AGAINST if ours in _WEAK else (_RIVAL,)
    others = [next((short for short in row if short in made - {ours}), None) for row in rows]
    image_of = {sample.id: sample.image for sample in dataset.samples}
    patients = clusters_of(known_patients(dataset))
    found = []
    for other, measure in itertools.product(filter(None, others), _COMPARED):
        a, b = (_by_image(engine.scores, image_of, short, measure) for short in (other, ours))
        if shared := sorted(a.keys() & b.keys()):
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
    """Mean score of each image over its samples."""
    values: dict[str, list[float]] = {}
    for sample_id, own in scores.items():
        if measure in own.get(short, {}):
            values.setdefault(image_of[sample_id], []).append(own[short][measure])
    return {image_id: float(np.mean(found)) for image_id, found in values.items()}
