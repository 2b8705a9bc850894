"""A search for numbers: its trials, the best first, and where the result went."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from medsam_exp.config.tuned import write_tuned
from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.measures import ALL_MEASURES, Measure, score_cell
from medsam_exp.report.pictures import Picture
from medsam_exp.report.section import Part, Row, Section, Table
from medsam_exp.stages.pipeline import reads_true_masks, stage_title
from medsam_exp.training.search.space import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HINT = "The chosen trial’s interval is that of a winner on these images: expect less on others."


def tuning_section(summary: Mapping[str, Any]) -> Section | None:
    """The trials of a search; None for another run."""
    if not (tuning := summary.get("tuning")):
        return None
    rows, columns = _trial_rows(tuning), ["Mean ± std", "95 % CI", "Remark"]
    table = Table("Tuning", "Values", columns, rows, console="trial, best first", words=1)
    said = _tuning_sentences(tuning)
    lines = [("", line) for line in said]
    part = Part(sentences=said, figures="tuning", table=table, hints=[_HINT], console=lines)
    return Section("tuning", "Tuning", [part])


def _trial_rows(tuning: Mapping[str, Any]) -> list[Row]:
    """The trials of a search, the best first, then those stopped early, failed ones last."""
    sign = -1 if _measure(tuning).higher_is_better else 1

    def place(trial: Mapping[str, Any]) -> tuple[bool, bool, float]:
        score = trial["score"]
        return score is None, _stopped(trial), sign * score["mean"] if score else 0

    return [_row(trial, tuning) for trial in sorted(tuning["trials"], key=place)]


def _row(trial: Mapping[str, Any], tuning: Mapping[str, Any]) -> Row:
    remark = ""
    if trial["values"] == tuning["best"]["values"]:
        remark = "chosen"
    elif trial["error"]:
        remark = f"failed: {trial['error']}"
    elif _stopped(trial):
        remark = f"stopped after {trial['score']['n']} of {tuning['images']} images"
    score = score_cell(trial["score"])
    return Row(describe(trial["values"]), [score.value, score.interval, remark])


def _tuning_sentences(tuning: Mapping[str, Any]) -> list[str]:
    """What was searched on which images, and where the result went."""
    early = sum(map(_stopped, tuning["trials"]))
    stopped = f" ({early} stopped early)" if early else ""
    read = (
        "Their masks were read, so these images cannot score these numbers."
        if reads_true_masks(tuning["metric"])
        else "No mask was read: whether these numbers give better masks is not known from this search."
    )
    return [
        f"Best {_tuned_label(tuning)} of {len(tuning['trials'])} trials{stopped} on {tuning['images']} images of "
        f"{tuning['data']} ({tuning['split']}): {describe(tuning['best']['values'])}. {read}",
        f"Written to {', '.join(tuning['files'])}; later runs with the same data and methods pick it up from "
        "conf/tuned.",
    ]


def _tuned_label(tuning: Mapping[str, Any]) -> str:
    """The tuned score for readers: "coarse mask DSC"."""
    stage = tuning["metric"].partition("/")[0]
    return f"{stage_title(stage)} {_measure(tuning).label}".replace("Coarse", "coarse")


def _measure(tuning: Mapping[str, Any]) -> Measure:
    return ALL_MEASURES[tuning["metric"].partition("/")[2]]


def _stopped(trial: Mapping[str, Any]) -> bool:
    return bool(trial.get("stopped"))


def tuning_results(engine: Engine, cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """What the stage `tune` found, and the files through which later runs use it; they are written here."""
    if "tune" not in engine.artifacts:
        return {}
    record, study = engine.artifacts["tune"].info("all"), engine.artifacts["tune"].key
    date = datetime.now().astimezone().date().isoformat()
    files = write_tuned(cfg, choices, record, study=study, date=date)
    return {**record, "files": list(map(str, files))}


def draw_tuning(tuning: Mapping[str, Any]) -> Iterator[Picture]:
    """The trials of a search, which has no images of its own to show; nothing without a search."""
    if tuning:
        caption = "tuning: score of every trial over each number that was varied"
        yield Picture(caption, "tuning", tuning, partial(_picture, tuning))


def _picture(tuning: Mapping[str, Any]) -> "Figure":
    from medsam_exp.report.figures.tuning import tuning_figure

    return tuning_figure(tuning, _tuned_label(tuning))
