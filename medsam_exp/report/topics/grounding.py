"""Sanity checks of the text: what control texts do to maps and masks, and how well presence is told."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from medsam_exp.config.build import build
from medsam_exp.data.patients import patients_of_samples
from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.clusters import picked
from medsam_exp.metrics.measures import Cell, count, interval, number, scaled, score_cell
from medsam_exp.metrics.presence import operating_point, presence_figures
from medsam_exp.report.pictures import Picture
from medsam_exp.report.results import RunResults
from medsam_exp.report.section import Part, Row, Section, Table
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.stages.maps import read_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GROUNDING, _PRESENCE = "grounding/", "presence/"
"""Names of the figures in summary.json begin so."""
_DEFAULT_THRESHOLD = 0.5
"""Operating point that is reported where no veto chooses one."""
_TITLE = "Does the text matter?"
_TEXTS = {
    "own": "the image's own text",
    "contradictory": "contradictory text",
    "absent": "text about something absent",
    "nonsense": "nonsense",
}
_KINDS = {"contradictory": "Contradictory text", "absent": "Absent target", "nonsense": "Nonsense"}
_COLUMNS = {
    "correlation": "Correlation with own map",
    "peak_shift_px": "Peak shift, px",
    "peak_shift_fraction": "of the diagonal, %",
    "empty": "Empty masks, %",
}
_FACTORS = {"peak_shift_fraction": 100.0, "empty": 100.0}
_DECIMALS = {"correlation": 3}
_HINT = (
    "Each image’s map under its own text against its map under a control text, same noise. A correlation near 1 and a "
    "peak that stays mean that the text is not heard. Masks are made as in the run, veto included; where the target is "
    "absent an empty mask is right."
)


def grounding_section(summary: Mapping[str, Any]) -> Section | None:
    """The table of control texts and the sentences about presence; None for a run with neither."""
    parts = []
    if rows := _grounding_rows(summary["metrics"]):
        table = Table(_TITLE, "Text", list(_COLUMNS.values()), rows, last="Images", console="grounding")
        parts.append(Part(table=table, hints=[_HINT]))
    if said := _presence_sentences(summary.get("presence", {}), summary["metrics"]):
        lines = [("presence", sentence) for sentence in said]
        parts.append(Part("Presence score", sentences=said, figures="presence", console=lines))
    return Section("grounding", _TITLE, parts) if parts else None


def _grounding_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """A row for each kind of text; a dash where the own text would be compared with itself."""
    rows = []
    for kind, label in _TEXTS.items():
        scores = {name: metrics.get(f"{_GROUNDING}{name}_{kind}") for name in _COLUMNS}
        if scores["empty"]:
            cells = [_cell(name, score) for name, score in scores.items()]
            rows.append(Row(f"{label[0].upper()}{label[1:]}", cells, count(scores["empty"]), label))
    return rows


def _presence_sentences(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """How well the presence score tells images with the target from those without, in words."""
    if not facts:
        return []
    auc, ece = (metrics[f"{_PRESENCE}{name}"] for name in ("auc", "ece"))
    point = f"{facts['threshold']:g} ({'the veto' if facts['vetoes'] else 'no veto in this run'})"
    return [
        f"{facts['with_target']} images with the text's target, {facts['without_target']} without: "
        f"area under the ROC curve {_interval(auc)}.",
        f"At threshold {point}: {100 * facts['sensitivity']:.0f} % of the images with the target count as such, "
        f"{100 * facts['specificity']:.0f} % of those without do not.",
        f"Expected calibration error {_interval(ece)}"
        + (
            f"; calibrated on the {facts['calibrated_on']}."
            if facts["calibrated_on"]
            else "; not calibrated."
        ),
    ]


def _interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['mean']:.3f} {interval(figure['ci95'])}"


def _cell(name: str, score: Mapping[str, Any] | None) -> Cell:
    decimals = _DECIMALS.get(name, 1)
    if not score or name != "empty":
        return score_cell(score and scaled(score, _FACTORS.get(name, 1.0)), decimals)
    share = scaled(score, _FACTORS[name])
    return Cell(number(share["mean"], decimals), interval(share["ci95"], decimals), count(score))


def presence_results(engine: Engine, cfg: DictConfig) -> dict[str, dict[str, Any]]:
    """Metrics ("presence/auc", "presence/ece") and facts of the presence score against true masks.

    Both are empty unless the run has scores and truth of images with and without the target.
    """
    known = _known_presence(engine)
    score, present = _presence_scores(known)
    if not present.any() or present.all():
        return {"metrics": {}, "facts": {}}
    # Patients are drawn as one; where they are unknown, the samples of an image.
    patients = patients_of_samples(engine.dataset)
    images = {sample.id: sample.image for sample in (engine.dataset.samples if engine.dataset else ())}
    figures = presence_figures(score, present, cfg.seed, picked(patients or images, known))
    if patients is None:
        for figure in figures.values():
            del figure["patients"]
    point = operating_point(score, present, _threshold(cfg))
    facts = {
        "threshold": point.threshold,
        "vetoes": cfg.veto.get("threshold") is not None,
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "with_target": int(present.sum()),
        "without_target": int((~present).sum()),
        "calibrated_on": _calibrated_on(cfg),
    }
    return {"metrics": {f"{_PRESENCE}{name}": figure for name, figure in figures.items()}, "facts": facts}


def _known_presence(engine: Engine) -> dict[str, dict[str, float]]:
    """Presence score and truth by id, of samples that have both."""
    found = {sample_id: own.get("presence", {}) for sample_id, own in engine.scores.items()}
    return {name: row for name, row in found.items() if {"probability", "target_present"} <= row.keys()}


def _presence_scores(
    known: Mapping[str, Mapping[str, float]],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n,) presence scores and (n,) whether the target is there."""
    score = np.array([row["probability"] for row in known.values()], np.float64)
    return score, np.array([row["target_present"] > 0 for row in known.values()], bool)


def _threshold(cfg: DictConfig) -> float:
    """The veto's threshold, or the one that is reported without a veto."""
    threshold = cfg.veto.get("threshold")
    return _DEFAULT_THRESHOLD if threshold is None else float(threshold)


def _calibrated_on(cfg: DictConfig) -> str | None:
    """The masks that the run's presence score was calibrated on, in words."""
    made_on: str | None = build(cfg.presence).calibrated_on
    return made_on


def presence_truth_uses(engine: Engine, cfg: DictConfig, split: str) -> list[str]:
    """Masks and class labels that went into presence scores and control texts."""
    uses = []
    if "presence" in engine.artifacts and (made_on := _calibrated_on(cfg)):
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
    vetoed = sum(info["vetoed"] for info in engine.artifacts["coarse_mask"].infos(engine.sample_ids))
    total = len(engine.sample_ids)
    return [f"{vetoed} of {total} masks were emptied by the veto"] if vetoed else []


def draw_presence(results: RunResults) -> Iterator[Picture]:
    """ROC curve, scores and reliability of the presence score."""
    if auc := results.summary["metrics"].get(f"{_PRESENCE}auc"):
        shows = (results.decided_by_all(), _threshold(results.cfg), auc)
        yield Picture("presence", "presence", shows, partial(_presence, results, auc))


def _presence(results: RunResults, auc: Mapping[str, Any]) -> "Figure":
    from medsam_exp.report.figures.grounding import presence_figure

    score, present = _presence_scores(_known_presence(results.engine))
    point = operating_point(score, present, _threshold(results.cfg))
    return presence_figure(score, present, point, auc)


def draw_controls(results: RunResults) -> Iterator[Picture]:
    """The map of the first few images under their own and the control texts."""
    if "grounding" in results.engine.artifacts:
        for sample_id in results.engine.sample_ids[: 2 * results.cfg.report_cases]:
            name, shows = f"grounding_{sample_id}", results.decided_by(sample_id)
            yield Picture(f"grounding: {sample_id}", name, shows, partial(_controls, results, sample_id))


def _controls(results: RunResults, sample_id: str) -> "Figure":
    from medsam_exp.report.figures.grounding import TextPanel, controls_figure

    stages = results.engine.artifacts
    record = stages["grounding"].info(sample_id)
    scores: dict[str, float] = record["scores"]["grounding"]
    own = TextPanel(
        "Own text",
        " | ".join(results.texts[sample_id]),
        read_map(stages["saliency"], sample_id),
        (_outcome(scores, "own"),),
    )
    controls = [
        TextPanel(
            _KINDS[kind],
            " | ".join(record["texts"][kind]),
            read_map(stages["control_maps"], sample_id, place),
            _facts(scores, kind),
        )
        for place, kind in enumerate(KINDS)
    ]
    return controls_figure(sample_id, results.image(sample_id), [own, *controls])


def _facts(scores: dict[str, float], kind: str) -> tuple[str, ...]:
    shift = scores.get(f"peak_shift_px_{kind}")
    moved = "no peak" if shift is None else f"peak moved {shift:.0f} px"
    return f"correlation {scores[f'correlation_{kind}']:.2f}, {moved}", _outcome(scores, kind)


def _outcome(scores: dict[str, float], label: str) -> str:
    presence = scores.get(f"presence_{label}")
    said = "" if presence is None else f", presence {presence:.2f}"
    return ("mask empty" if scores[f"empty_{label}"] else "mask not empty") + said
