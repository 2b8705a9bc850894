"""What a run found about grounding and presence, gathered from its stages for summary and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from medsam_exp.config.build import build
from medsam_exp.data.patients import patients_of_samples
from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.presence import operating_point, presence_figures
from medsam_exp.report.figures import save_png
from medsam_exp.report.grounding_figures import TextPanel, controls_figure, presence_figure
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.types import Dataset

DEFAULT_THRESHOLD = 0.5
"""Operating point that is reported where no veto chooses one."""
_LABELS = {"contradictory": "Contradictory text", "absent": "Absent target", "nonsense": "Nonsense"}


def presence_results(engine: Engine, cfg: DictConfig) -> dict[str, dict[str, Any]]:
    """Metrics ("presence/auc", "presence/ece") and facts of the presence score against true masks.

    Both are empty unless the run has scores and truth of images with and without the target.
    """
    score, present = presence_scores(engine)
    if not present.any() or present.all():
        return {"metrics": {}, "facts": {}}
    figures = _figures(engine, score, present, cfg.seed)
    vetoes = cfg.veto.get("threshold") is not None
    point = operating_point(score, present, threshold_of(cfg))
    facts = {
        "threshold": point.threshold,
        "vetoes": vetoes,
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "with_target": int(present.sum()),
        "without_target": int((~present).sum()),
        "calibrated_on": calibrated_on(cfg),
    }
    return {"metrics": {f"presence/{name}": figure for name, figure in figures.items()}, "facts": facts}


def presence_scores(engine: Engine) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n,) presence scores and (n,) whether the target is there, of samples that have both."""
    known = list(_known_presence(engine).values())
    score = np.array([row["probability"] for row in known], np.float64)
    return score, np.array([row["target_present"] > 0 for row in known], bool)


def _known_presence(engine: Engine) -> dict[str, dict[str, float]]:
    """Presence score and truth by id, of samples that have both."""
    found = {sample_id: engine.scores(sample_id).get("presence", {}) for sample_id in engine.sample_ids}
    return {name: row for name, row in found.items() if {"probability", "target_present"} <= row.keys()}


def _figures(
    engine: Engine, score: NDArray[np.float64], present: NDArray[np.bool_], seed: int
) -> dict[str, dict[str, Any]]:
    """Figures of `presence_figures`, patients drawn as one; where they are unknown, the samples of an image."""
    patients = patients_of_samples(engine.dataset)
    images = {sample.id: sample.image for sample in (engine.dataset.samples if engine.dataset else ())}
    figures = presence_figures(
        score, present, seed, [(patients or images)[name] for name in _known_presence(engine)]
    )
    if patients is None:
        figures = {name: {k: v for k, v in own.items() if k != "patients"} for name, own in figures.items()}
    return figures


def threshold_of(cfg: DictConfig) -> float:
    """The veto's threshold, or the one that is reported without a veto."""
    threshold = cfg.veto.get("threshold")
    return DEFAULT_THRESHOLD if threshold is None else float(threshold)


def calibrated_on(cfg: DictConfig) -> str | None:
    """The masks that the run's presence score was calibrated on, in words."""
    made_on: str | None = build(cfg.presence).calibrated_on
    return made_on


def presence_truth_uses(engine: Engine, cfg: DictConfig, split: str) -> list[str]:
    """Masks and class labels that went into presence scores and control texts."""
    uses = []
    if "presence" in engine.artifacts and (made_on := calibrated_on(cfg)):
        uses.append(f"presence: calibrated with the masks of the {made_on}")
    if "control_maps" in engine.artifacts and _contradictions_follow_labels(engine, cfg):
        uses.append(f"control_maps: contradictory texts chosen by what each image truly shows ({split})")
    return uses


def _contradictions_follow_labels(engine: Engine, cfg: DictConfig) -> bool:
    """Whether contradictory texts tell something about what an image truly shows."""
    dataset = engine.dataset
    if dataset is None or not dataset.classes_are_true:
        return False
    own = any(sample.contradiction is not None for sample in dataset.samples)
    return own or not cfg.grounding.contradictory_texts


def veto_notes(engine: Engine) -> list[str]:
    """How many masks a veto emptied."""
    if "coarse_mask" not in engine.artifacts:
        return []
    vetoed = sum(engine.artifacts["coarse_mask"].info(name)["vetoed"] for name in engine.sample_ids)
    total = len(engine.sample_ids)
    return [f"{vetoed} of {total} masks were emptied by the veto"] if vetoed else []


def draw_presence(engine: Engine, cfg: DictConfig, folder: Path) -> list[tuple[str, Path]]:
    """ROC curve, scores and reliability of the presence score."""
    score, present = presence_scores(engine)
    if not present.any() or present.all():
        return []
    auc = _figures(engine, score, present, cfg.seed)["auc"]
    point = operating_point(score, present, threshold_of(cfg))
    path = folder / "presence.png"
    save_png(presence_figure(score, present, point, float(auc["mean"]), auc["ci95"]), path)
    return [("presence", path)]


def draw_controls(
    engine: Engine, dataset: Dataset, texts: Any, count: int, folder: Path
) -> list[tuple[str, Path]]:
    """The map of the first few images under their own and the control texts."""
    if "grounding" not in engine.artifacts:
        return []
    pictures = []
    for sample_id in engine.sample_ids[:count]:
        path = folder / f"grounding_{sample_id}.png"
        save_png(_controls(engine, dataset, texts[sample_id], sample_id), path)
        pictures.append((f"grounding: {sample_id}", path))
    return pictures


def _controls(engine: Engine, dataset: Dataset, own_texts: tuple[str, ...], sample_id: str) -> Any:
    record = engine.artifacts["grounding"].info(sample_id)
    scores: dict[str, float] = record["scores"]["grounding"]
    own = TextPanel(
        "Own text",
        " | ".join(own_texts),
        engine.artifacts["saliency"].saliency_map(sample_id),
        (_outcome(scores, "own"),),
    )
    controls = [
        TextPanel(_LABELS[kind], " | ".join(record["texts"][kind]), map_, _facts(scores, kind))
        for kind, map_ in zip(KINDS, engine.artifacts["control_maps"].saliency_map(sample_id), strict=True)
    ]
    return controls_figure(sample_id, dataset.read_image(sample_id), [own, *controls])


def _facts(scores: dict[str, float], kind: str) -> tuple[str, ...]:
    shift = scores.get(f"peak_shift_px_{kind}")
    moved = "no peak" if shift is None else f"peak moved {shift:.0f} px"
    return f"correlation {scores[f'correlation_{kind}']:.2f}, {moved}", _outcome(scores, kind)


def _outcome(scores: dict[str, float], label: str) -> str:
    presence = scores.get(f"presence_{label}")
    said = "" if presence is None else f", presence {presence:.2f}"
    return ("mask empty" if scores[f"empty_{label}"] else "mask not empty") + said
