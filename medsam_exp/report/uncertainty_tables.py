"""Of what use an ensemble's doubt is: tables, sentences and the list to review, as readers know them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medsam_exp.metrics.measures import MISSING, interval, number
from medsam_exp.nnunet.uncertainty.reliability import POSSIBLE
from medsam_exp.nnunet.uncertainty.scores import HIGHER_IS_SURER, SCORES, uncertainties
from medsam_exp.report.uncertainty import SCORE_LABELS, review_list

UNCERTAINTY = "uncertainty/"
"""Names of the figures in summary.json begin so."""
RANKING_COLUMNS = ("Mean ± std", "Spearman with DSC", "Pearson with DSC", "AURC", "Excess AURC")
CALIBRATION_COLUMNS = ("ECE", "Brier", "NLL")
_DECIMALS = {"entropy_per_edge_released": 1}


@dataclass(frozen=True)
class RankingLine:
    """How one score ranks the images.

    Attributes:
        label: of the score.
        cells: (figure, its 95 % confidence interval or "") for each of `RANKING_COLUMNS`.
        orders: whether the list to review is ordered by it.
    """

    label: str
    cells: list[tuple[str, str]]
    orders: bool


@dataclass(frozen=True)
class ReviewLine:
    """One image that a human should look at.

    Attributes:
        rank: from 1.
        sample_id: of the image.
        score: the deciding one, as it is named.
        dsc: a dash without ground truth.
    """

    rank: str
    sample_id: str
    score: str
    dsc: str


def ranking_lines(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[RankingLine]:
    """Scores of doubt, the best ranking first, among them what chance and what knowledge of the truth would give.

    Args:
        facts: `uncertainty` of summary.json; without `ranking` there was no ground truth.
        metrics: `metrics` of summary.json.
    """
    if "ranking" not in facts:
        return []
    lines = [
        (found["aurc"], _ranking_line(name, facts, metrics.get(f"{UNCERTAINTY}{name}")))
        for name, found in facts["ranking"].items()
    ]
    bounds = {"Best possible order": facts["oracle_aurc"], "Keep at random": facts["mean_risk"]}
    for label, aurc in bounds.items():
        figures = [(number(aurc), ""), (number(aurc - facts["oracle_aurc"]), "")]
        lines.append((aurc, RankingLine(label, [*3 * [(MISSING, "")], *figures], False)))
    return [line for _, line in sorted(lines, key=lambda item: (item[0], item[1].label))]


def _ranking_line(name: str, facts: Mapping[str, Any], spread: Mapping[str, Any] | None) -> RankingLine:
    found, decimals = facts["ranking"][name], _DECIMALS.get(name, 3)
    mean = f"{number(spread['mean'], decimals)} ± {number(spread['std'], decimals)}" if spread else MISSING
    cells = [
        (mean, ""),
        *(_coefficient(as_named(name, found[kind])) for kind in ("spearman", "pearson")),
        (number(found["aurc"]), ""),
        (number(found["excess_aurc"]), ""),
    ]
    return RankingLine(score_label(name), cells, name == facts["review_by"])


def as_named(score: str, correlation: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A correlation of doubt with the DSC as one of the score itself, which may grow with confidence."""
    if not correlation or score not in HIGHER_IS_SURER:
        return dict(correlation) if correlation else None
    bounds = correlation["ci95"] and [-bound for bound in reversed(correlation["ci95"])]
    return {**correlation, "mean": -correlation["mean"], "ci95": bounds}


def score_label(score: str) -> str:
    """A score's name for readers."""
    label = SCORE_LABELS.get(score, score)
    return f"{label[0].upper()}{label[1:]}"


def _coefficient(found: Mapping[str, Any] | None) -> tuple[str, str]:
    if not found:
        return MISSING, ""
    return _minus(number(found["mean"], 2)), _minus(interval(found["ci95"], 2))


def _minus(written: str) -> str:
    return written.replace("-", "−")


def calibration_lines(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """ECE, Brier score and NLL of pixels near what is predicted, as predicted and after temperature scaling."""
    named = {
        "As predicted": facts.get("calibration"),
        f"After temperature scaling (T = {facts.get('temperature', 1.0):.2f})": facts.get("calibrated"),
    }
    return {
        label: [number(figures[name]) for name in ("ece", "brier", "nll")]
        for label, figures in named.items()
        if figures
    }


def uncertainty_sentences(facts: Mapping[str, Any]) -> list[str]:
    """How the masks were made, and what was chosen on which images.

    Args:
        facts: `uncertainty` of summary.json; empty without an ensemble.
    """
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


def console_sentences(facts: Mapping[str, Any]) -> list[str]:
    """How the masks were made, and how well the score that orders the list to review ranks their errors."""
    said = uncertainty_sentences(facts)
    if "ranking" in facts:
        name = facts["review_by"]
        found = facts["ranking"][name]
        rank, interval = _coefficient(as_named(name, found["spearman"]))
        said.append(
            f"{score_label(name)} and DSC: Spearman {rank} {interval}; AURC {number(found['aurc'])}, best possible "
            f"{number(facts['oracle_aurc'])}, at random {number(facts['mean_risk'])}."
        )
    return said


def ranking_hints(facts: Mapping[str, Any]) -> list[str]:
    """What a reader must know to believe the table."""
    if "ranking" not in facts:
        return []
    best, used = (SCORE_LABELS.get(facts[name], facts[name]) for name in ("best_score", "review_by"))
    hindsight = f"With hindsight “{best}” ranks these images best; that must hold on others first."
    return [
        "Spearman and Pearson: correlation with the true DSC over images, [95 % confidence interval]; scores of "
        "doubt should fall as the DSC rises (towards −1), expected DSC should rise with it (towards 1).",
        "AURC: mean of 1 − DSC over all shares of images kept, surest first; lower is better. The excess is over "
        f"the best possible order. The list to review is ordered by “{used}”, named in the configuration before any "
        f"true mask was read. {hindsight if best != used else ''}",
    ]


def calibration_hint(facts: Mapping[str, Any]) -> str:
    """Which pixels the calibration is of."""
    pixels = f"{facts['calibration']['pixels']:,}".replace(",", " ")
    return (
        f"{pixels} pixels up to {facts['near_px']:g} px from where the predicted probability reaches {POSSIBLE:g} "
        "(of an image without such a place, all); the far background, which is easy, would make any network look "
        "calibrated. The true mask has no part in the choice. Lower is better."
    )


def uncertainty_section(facts: Mapping[str, Any], metrics: Mapping[str, Any], images: int) -> dict[str, Any]:
    """All that the report says of an ensemble's doubt, by what it is; empty without an ensemble.

    Args:
        facts: `uncertainty` of summary.json.
        metrics: `metrics` of summary.json.
        images: of the run.
    """
    if not facts:
        return {}
    return {
        "sentences": uncertainty_sentences(facts),
        "columns": RANKING_COLUMNS,
        "ranking": ranking_lines(facts, metrics),
        "hints": ranking_hints(facts),
        "calibration_columns": CALIBRATION_COLUMNS,
        "calibration": calibration_lines(facts),
        "calibration_hint": calibration_hint(facts) if "calibration" in facts else "",
        "review": review_sentence(facts, images),
        "review_by": score_label(facts["review_by"]),
    }


def review_sentence(facts: Mapping[str, Any], images: int) -> str:
    """What the list is."""
    shown = min(facts["review"], images)
    label = SCORE_LABELS.get(facts["review_by"], facts["review_by"])
    surest = "lowest" if facts["review_by"] in HIGHER_IS_SURER else "highest"
    which = "All" if shown == images else f"The {shown} least sure of"
    return f"{which} {images} images, {surest} {label} first; true masks play no part in the order."


def review_rows(scores: Mapping[str, Mapping[str, float]], review_by: str) -> list[dict[str, Any]]:
    """Every image, the least sure first, with all its scores of doubt, the deciding one first.

    A score that grows with confidence is turned, so that higher means less sure, and then named "1-NAME".

    Args:
        scores: of an ensemble by sample id and name, as they are named.
        review_by: name of the deciding one.

    Returns:
        `rank`, `id`, and the scores, for each image.
    """
    doubt = {sample_id: uncertainties(own) for sample_id, own in scores.items()}
    ranked = review_list({sample_id: own[review_by] for sample_id, own in doubt.items()}, len(doubt))
    return [{"rank": rank, "id": name, **_turned(doubt[name], review_by)} for rank, name, _ in ranked]


def _turned(doubt: Mapping[str, float], first: str) -> dict[str, float]:
    order = [first, *(name for name in doubt if name != first)]
    return {f"1-{name}" if name in HIGHER_IS_SURER else name: doubt[name] for name in order}


def review_lines(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[ReviewLine]:
    """The images that a human should look at first.

    Args:
        facts: `uncertainty` of summary.json; empty without an ensemble.
        rows: those of per_image.csv.
    """
    if not facts:
        return []
    scores = {row["id"]: _scores(row) for row in rows if row["stage"] == UNCERTAINTY.rstrip("/")}
    dsc = {row["id"]: row.get("dsc") for row in rows if row["stage"] == "weak"}
    shown = review_rows(scores, facts["review_by"])[: facts["review"]]
    return [
        ReviewLine(
            str(row["rank"]),
            row["id"],
            number(scores[row["id"]][facts["review_by"]]),
            number(dsc.get(row["id"])),
        )
        for row in shown
    ]


def _scores(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: row[name] for name in SCORES if name in row}
