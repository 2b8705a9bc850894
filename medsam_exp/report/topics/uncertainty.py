"""Of what use an ensemble's uncertainty is: how masks were made, which score ranks errors, what to review first."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.measures import MISSING, Cell, interval, number, signed
from medsam_exp.nnunet.uncertainty.quality import Curve
from medsam_exp.nnunet.uncertainty.reliability import POSSIBLE, ReliabilityBins
from medsam_exp.nnunet.uncertainty.scores import HIGHER_IS_SURER, SCORES, uncertainties
from medsam_exp.report.pictures import Picture
from medsam_exp.report.results import RunResults
from medsam_exp.report.section import Part, Row, Section, Table
from medsam_exp.stages.pipeline import scored_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

_UNCERTAINTY = "uncertainty/"
"""Names of the figures in summary.json begin so."""
_RANKING_COLUMNS = ("Mean ± std", "Spearman with DSC", "Pearson with DSC", "AURC", "Excess AURC")
_CALIBRATION_COLUMNS = ("ECE", "Brier", "NLL")
_DECIMALS = {"entropy_per_edge_released": 1}
_ELSEWHERE = ("dsc", "doubt", "oracle", "ranking", "chosen", "id")
"""Parts of the uncertainty stage's record that grow with the number of images, or are said anyway."""
_CAPTIONS = {
    "risk_coverage": "How bad the kept masks are when the least sure images are given to a human, by each score.",
    "scatter": "Each point is an image: the score that orders the list to review, and the true DSC.",
    "reliability": "What the ensemble’s probabilities promise, and what occurs.",
}


def uncertainty_section(summary: Mapping[str, Any]) -> Section | None:
    """All that is said of an ensemble's uncertainty; None without an ensemble."""
    if not (facts := summary.get("uncertainty")):
        return None
    said = _uncertainty_sentences(facts)
    parts = [Part(sentences=said, console=[("doubt", line) for line in [*said, *_ranking_sentence(facts)]])]
    if rows := _ranking_rows(facts, summary["metrics"]):
        table = Table("Scores of doubt", "Score", _RANKING_COLUMNS, rows)
        parts.append(Part("Does doubt point at the bad masks?", table=table, hints=_ranking_hints(facts)))
        table = Table("Calibration", "Probabilities", _CALIBRATION_COLUMNS, _calibration_rows(facts))
        parts.append(
            Part("Calibration near what is predicted", table=table, hints=[_calibration_hint(facts)])
        )
    return Section("uncertainty", "Uncertainty", [*parts, Part(figures="uncertainty")])


def _ranking_rows(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[Row]:
    """Scores of doubt, the best ranking first, among them what chance and what knowledge of the truth would give."""
    if "ranking" not in facts:
        return []
    rows = [
        (found["aurc"], _ranking_row(name, facts, metrics.get(f"{_UNCERTAINTY}{name}")))
        for name, found in facts["ranking"].items()
    ]
    bounds = {"Best possible order": facts["oracle_aurc"], "Keep at random": facts["mean_risk"]}
    for label, aurc in bounds.items():
        cells = [*3 * [MISSING], number(aurc), number(aurc - facts["oracle_aurc"])]
        rows.append((aurc, Row(label, cells)))
    return [row for _, row in sorted(rows, key=lambda item: (item[0], item[1].label))]


def _ranking_row(name: str, facts: Mapping[str, Any], spread: Mapping[str, Any] | None) -> Row:
    found, decimals = facts["ranking"][name], _DECIMALS.get(name, 3)
    cells: list[Cell | str] = [
        f"{number(spread['mean'], decimals)} ± {number(spread['std'], decimals)}" if spread else MISSING,
        *(_coefficient(_as_named(name, found[kind])) for kind in ("spearman", "pearson")),
        number(found["aurc"]),
        number(found["excess_aurc"]),
    ]
    remark = "orders the list to review" if name == facts["review_by"] else ""
    return Row(_score_label(name), cells, remark=remark)


def _as_named(score: str, correlation: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A correlation of doubt with the DSC as one of the score itself, which may grow with confidence."""
    if not correlation:
        return None
    if score not in HIGHER_IS_SURER:
        return dict(correlation)
    bounds = correlation["ci95"] and [-bound for bound in reversed(correlation["ci95"])]
    return {**correlation, "mean": -correlation["mean"], "ci95": bounds}


def _score_label(score: str) -> str:
    """A score's name for readers."""
    label = SCORES.get(score, score)
    return f"{label[0].upper()}{label[1:]}"


def _coefficient(found: Mapping[str, Any] | None) -> Cell:
    if not found:
        return Cell(MISSING, "", "")
    return Cell(signed(found["mean"], 2), interval(found["ci95"], 2, signed), "")


def _calibration_rows(facts: Mapping[str, Any]) -> list[Row]:
    """ECE, Brier score and NLL of pixels near what is predicted, as predicted and after temperature scaling."""
    named = {
        "As predicted": facts.get("calibration"),
        f"After temperature scaling (T = {facts.get('temperature', 1.0):.2f})": facts.get("calibrated"),
    }
    return [
        Row(label, [number(figures[name]) for name in ("ece", "brier", "nll")])
        for label, figures in named.items()
        if figures
    ]


def _uncertainty_sentences(facts: Mapping[str, Any]) -> list[str]:
    """How the masks were made, and what was chosen on which images."""
    if not facts:
        return []
    checkpoints = f"{facts['members']} checkpoint{'' if facts['members'] == 1 else 's'}"
    chosen = facts.get("chosen")
    if facts["several_classes"]:
        made = [f"Masks are the class with the largest mean probability of {checkpoints}."]
    else:
        made = [
            f"Masks are where the mean probability of {checkpoints} is above {facts['threshold']:.2f}"
            + ("." if chosen else ", as configured; no split was used to choose it.")
        ]
    return made + (_chosen(chosen, several_classes=facts["several_classes"]) if chosen else [])


def _chosen(chosen: Mapping[str, Any], *, several_classes: bool) -> list[str]:
    where = f"{chosen['images']} images of {chosen['data']}, split “{chosen['split']}”"
    temperature, interval = chosen["temperature"], chosen.get("temperature_ci95")
    low, high = interval or (temperature, temperature)
    effect = (
        "too sure"
        if low > 1
        else "not sure enough"
        if high < 1
        else "as sure as they should be, as far as these images tell"
    )
    written = f"{temperature:.2f}" + (f" [{low:.2f}, {high:.2f}]" if interval else "")
    threshold = (
        f"The threshold was chosen with the true masks of {where}: mean DSC {number(chosen['dsc'])} there, "
        f"{number(chosen['dsc_at_half'])} at 0.50."
    )
    fitted = (
        f"The temperature {written} was fitted to the true masks of "
        f"{where if several_classes else 'the same images'}, where probabilities were {effect}; it changes no mask."
    )
    return [fitted] if several_classes else [threshold, fitted]


def _ranking_sentence(facts: Mapping[str, Any]) -> list[str]:
    """How well the score that orders the list to review ranks the masks' errors; nothing without ground truth."""
    if "ranking" not in facts:
        return []
    name = facts["review_by"]
    found = facts["ranking"][name]
    rank = _coefficient(_as_named(name, found["spearman"]))
    return [
        f"{_score_label(name)} and DSC: Spearman {rank.value} {rank.interval}; AURC {number(found['aurc'])}, best "
        f"possible {number(facts['oracle_aurc'])}, at random {number(facts['mean_risk'])}."
    ]


def _ranking_hints(facts: Mapping[str, Any]) -> list[str]:
    """What a reader must know to believe the table."""
    best, used = (SCORES.get(facts[name], facts[name]) for name in ("best_score", "review_by"))
    hindsight = f"With hindsight “{best}” ranks these images best; that must hold on others first."
    return [
        "Spearman and Pearson: correlation with the true DSC over images, [95 % confidence interval]; scores of "
        "doubt should fall as the DSC rises (towards −1), expected DSC should rise with it (towards 1).",
        "AURC: mean of 1 − DSC over all shares of images kept, surest first; lower is better. The excess is over "
        f"the best possible order. The list to review is ordered by “{used}”, named in the configuration before any "
        f"true mask was read. {hindsight if best != used else ''}",
    ]


def _calibration_hint(facts: Mapping[str, Any]) -> str:
    """Which pixels the calibration is of."""
    pixels = f"{facts['calibration']['pixels']:,}".replace(",", " ")
    return (
        f"{pixels} pixels up to {facts['near_px']:g} px from where the predicted probability reaches {POSSIBLE:g} "
        "(of an image without such a place, all); the far background, which is easy, would make any network look "
        "calibrated. The true mask has no part in the choice. Lower is better."
    )


def _review_sentence(facts: Mapping[str, Any], images: int) -> str:
    """What the list is."""
    shown = min(facts["review"], images)
    label = SCORES.get(facts["review_by"], facts["review_by"])
    surest = "lowest" if facts["review_by"] in HIGHER_IS_SURER else "highest"
    which = "All" if shown == images else f"The {shown} least sure of"
    return f"{which} {images} images, {surest} {label} first; true masks play no part in the order."


def review_rows(scores: Mapping[str, Mapping[str, float]], review_by: str) -> list[dict[str, Any]]:
    """Every image, the least sure first, with all its scores of doubt, the deciding one first.

    A score that grows with confidence is turned, so that higher means less sure, and then named "1-NAME". Equal images
    come in the order of their ids; one whose score is not a number counts as least sure.

    Args:
        scores: of an ensemble by sample id and name, as they are named.
        review_by: name of the deciding one.

    Returns:
        `rank`, from 1, `id`, and the scores, for each image.
    """
    doubt = {sample_id: uncertainties(own) for sample_id, own in scores.items()}
    deciding = {name: -np.inf if np.isnan(own[review_by]) else -own[review_by] for name, own in doubt.items()}
    ranked = enumerate(sorted(doubt, key=lambda name: (deciding[name], name)), start=1)
    return [{"rank": rank, "id": name, **_turned(doubt[name], review_by)} for rank, name in ranked]


def _turned(doubt: Mapping[str, float], first: str) -> dict[str, float]:
    order = [first, *(name for name in doubt if name != first)]
    return {f"1-{name}" if name in HIGHER_IS_SURER else name: doubt[name] for name in order}


def review_list(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The images that a human should look at first; none without an ensemble.

    Args:
        summary: content of summary.json.
        rows: those of per_image.csv.

    Returns:
        `lines`, each with `rank`, `id`, `score` as it is named, and `dsc`; where there are any, `sentence`, what the
        list is; `by`, name of the deciding score; `scored`, whether there is ground truth.
    """
    if not (facts := summary.get("uncertainty")) or not rows:
        return {"lines": []}
    by = facts["review_by"]
    doubt = {row["id"]: row for row in rows if row["stage"] == _UNCERTAINTY.rstrip("/")}
    scores = {name: {score: row[score] for score in SCORES if score in row} for name, row in doubt.items()}
    dsc = {row["id"]: row.get("dsc") for row in rows if row["stage"] == "weak"}
    return {
        "sentence": _review_sentence(facts, len({row["id"] for row in rows})),
        "by": _score_label(by),
        "scored": bool(scored_labels(summary["metrics"])),
        "lines": [
            {
                "rank": str(row["rank"]),
                "id": row["id"],
                "score": number(scores[row["id"]][by]),
                "dsc": number(dsc.get(row["id"])),
            }
            for row in review_rows(scores, by)[: facts["review"]]
        ],
    }


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
    found |= {name: value for name, value in record.items() if name not in _ELSEWHERE}
    found["ranking"] = {
        name: {measure: value for measure, value in figures.items() if measure != "curve"}
        for name, figures in record["ranking"].items()
    }
    return found | {"oracle_aurc": float(np.mean(record["oracle"]["risk"]))}


def doubt_scores(engine: Engine) -> dict[str, dict[str, float]]:
    """Every score of an ensemble's doubt by sample id, as they are named; empty without an ensemble."""
    if "nnunet_ensemble" not in engine.artifacts:
        return {}
    ensemble = engine.artifacts["nnunet_ensemble"]
    infos = zip(engine.sample_ids, ensemble.infos(engine.sample_ids), strict=True)
    return {name: info["scores"]["uncertainty"] for name, info in infos}


def draw_doubt(results: RunResults) -> Iterator[Picture]:
    """Risk and coverage, calibration, and each image's deciding score beside its DSC."""
    if "uncertainty" not in results.engine.artifacts:
        return
    shows = (results.decided_by_all(), results.cfg.review.by, results.cfg.uncertainty.bins)
    draws = {"risk_coverage": _risk_coverage, "scatter": _scatter, "reliability": _reliability}
    for name, draw in draws.items():
        caption = f"uncertainty: {_CAPTIONS[name]}"
        yield Picture(caption, f"uncertainty_{name}", shows, partial(draw, results))


def _risk_coverage(results: RunResults) -> "Figure":
    from medsam_exp.report.figures.uncertainty import risk_coverage_figure

    record = results.engine.artifacts["uncertainty"].info("all")
    curves = {name: _curve(found["curve"]) for name, found in record["ranking"].items()}
    return risk_coverage_figure(curves, _curve(record["oracle"]))


def _scatter(results: RunResults) -> "Figure":
    from medsam_exp.report.figures.uncertainty import uncertainty_scatter

    record, by = results.engine.artifacts["uncertainty"].info("all"), results.cfg.review.by
    scores = doubt_scores(results.engine)
    correlation = {name: _as_named(by, record["ranking"][by][name]) for name in ("pearson", "spearman")}
    doubt, dsc = [scores[name][by] for name in record["dsc"]], list(record["dsc"].values())
    return uncertainty_scatter(doubt, dsc, by, correlation)


def _reliability(results: RunResults) -> "Figure":
    from medsam_exp.report.figures.uncertainty import reliability_figure

    record = results.engine.artifacts["uncertainty"].info("all")
    before, after = (
        ReliabilityBins.restore(results.cfg.uncertainty.bins, record[name]) if name in record else None
        for name in ("calibration", "calibrated")
    )
    assert before is not None
    return reliability_figure(before, after, f"pixels within {record['near_px']:g} px of what is predicted")


def _curve(found: dict[str, list[float]]) -> Curve:
    return np.asarray(found["coverage"]), np.asarray(found["risk"])


def draw_review(results: RunResults) -> Iterator[Picture]:
    """A small picture of each image on the list to review, and large ones of the first."""
    cfg = results.cfg
    rows = review_rows(doubt_scores(results.engine), cfg.review.by)[: cfg.review.images]
    for row in rows:
        sample_id, name = row["id"], f"thumbnail_{row['rank']:02d}_{row['id']}"
        shows = results.decided_by(sample_id)
        yield Picture(f"thumbnail: {sample_id}", name, shows, partial(_thumbnail, results, sample_id))
    for row in rows[: 2 * cfg.report_cases]:
        sample_id, name = row["id"], f"review_{row['rank']:02d}_{row['id']}"
        caption, shows = f"review: {row['rank']}. {sample_id}", results.decided_by(sample_id)
        yield Picture(caption, name, shows, partial(_panel, results, sample_id))


def _thumbnail(results: RunResults, sample_id: str) -> "Image":
    from medsam_exp.report.figures.uncertainty import thumbnail

    mask = results.engine.artifacts["nnunet_ensemble"].mask(sample_id)
    return thumbnail(results.image(sample_id), mask)


def _panel(results: RunResults, sample_id: str) -> "Figure":
    from medsam_exp.report.figures.uncertainty_panel import uncertainty_panel

    stages = results.engine.artifacts
    ensemble, single = stages["nnunet_ensemble"], stages.get("nnunet_single")
    return uncertainty_panel(
        sample_id,
        results.image(sample_id),
        results.ground_truth(sample_id),
        ensemble.mask(sample_id),
        single.mask(sample_id) if single else None,
        ensemble.maps(sample_id),
        ensemble.info(sample_id)["scores"]["uncertainty"],
        results.engine.scores[sample_id].get("weak", {}).get("dsc"),
    )
