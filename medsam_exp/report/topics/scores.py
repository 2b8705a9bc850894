"""Scores of masks and saliency maps: means over images, by class, and of everything else that was measured."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from medsam_exp.metrics.measures import (
    FURTHER_MEASURES,
    MAP_MEASURES,
    MEASURES,
    MEASURES_WITHOUT_TRUTH,
    Cell,
    Measure,
    by_patient,
    score_cell,
    used_measures,
)
from medsam_exp.report.section import Part, Row, Section, Table
from medsam_exp.stages.pipeline import STAGES, mask_stages, scored_labels, stage_colour, stage_title

_MACRO = "mean over classes"
_OF_EMPTY = "HD95 of an empty mask is the image's diagonal"
_MOST_CLASSES = 10  # on the console
_OTHER_TOPICS = ("grounding/", "presence/", "retrieval/", "uncertainty/")
"""Names of figures that have a topic of their own."""


def scores_section(summary: Mapping[str, Any]) -> Section | None:
    """Tables of all scores; None for a run without scores and images."""
    metrics = summary["metrics"]
    grouped = any(map(by_patient, metrics.values()))
    parts = [
        *_mask_parts(summary, grouped=grouped),
        *_without_truth_parts(metrics),
        *_class_parts(summary, grouped=grouped),
        *_map_parts(metrics),
    ]
    if not scored_labels(metrics) and summary["keys"].keys() & {"saliency", *mask_stages()}:
        parts.insert(0, Part(sentences=["The masks are not scored: this run used no ground truth."]))
    return Section("scores", "Scores", parts) if parts else None


def _mask_parts(summary: Mapping[str, Any], *, grouped: bool) -> list[Part]:
    metrics = summary["metrics"]
    if not scored_labels(metrics):
        return []
    said = "ean ± standard deviation over images, [95 % confidence interval of the mean"
    tolerance = summary.get("nsd_tolerance")
    hint = (
        f"M{said}{', by bootstrap over patients' if grouped else ''}]."
        f"{f' NSD at {tolerance}.' if tolerance else ''} ↑ higher is better, ↓ lower is better."
    )
    brief = f"m{said}{', by patient' if grouped else ''}]{f'; NSD at {tolerance}' if tolerance else ''}"
    if any(metrics.get(f"{stage}/missed", {}).get("mean") for stage in scored_labels(metrics)):
        hint += f" {_OF_EMPTY[0].upper()}{_OF_EMPTY[1:]}."
        brief += f"; {_OF_EMPTY}"
    marks = {label: said["mark"] for label, said in summary.get("supervision", {}).items()}
    table = _stage_table("Scores", metrics, MEASURES, marks)
    parts = [Part(table=table, hints=[hint], console=[("", brief)])]
    if further := used_measures(metrics, FURTHER_MEASURES):
        name = "Further scores of the masks"
        released = (
            "“Released” scores are computed as the method's published code does, to compare with published numbers "
            "only; its NSD is mostly an overlap of areas, higher than that of the outlines above."
        )
        hints = [released] if any(measure.name == "nsd_released" for measure in further) else []
        parts.append(Part(name, table=_stage_table(name, metrics, FURTHER_MEASURES), hints=hints))
    return parts


def _without_truth_parts(metrics: Mapping[str, Any]) -> list[Part]:
    if not used_measures(metrics, MEASURES_WITHOUT_TRUTH):
        return []
    name = "Scores of the masks that need no true ones"
    hint = "They say whether a mask fits its text, SAM and a changed image, not whether it is right."
    table = _stage_table(name, metrics, MEASURES_WITHOUT_TRUTH, console="stage, no true masks")
    return [Part(name, table=table, hints=[hint])]


def _stage_table(
    name: str,
    metrics: Mapping[str, Any],
    among: Sequence[Measure],
    remarks: Mapping[str, str] = MappingProxyType({}),
    console: str = "stage",
) -> Table:
    measures = used_measures(metrics, among)
    rows = [
        _row(
            stage_title(stage),
            _cells(metrics, stage, measures),
            stage,
            stage_colour(stage),
            remarks.get(stage, ""),
        )
        for stage in scored_labels(metrics, among)
    ]
    return Table(name, "Stage", measures, rows, last="Images", console=console)


def _cells(figures: Mapping[str, Any], stage: str, measures: Sequence[Measure]) -> list[Cell]:
    return [score_cell(figures.get(f"{stage}/{measure.name}"), measure.decimals) for measure in measures]


def _row(label: str, cells: Sequence[Cell], short: str = "", colour: str = "", remark: str = "") -> Row:
    return Row(label, cells, next((cell.n for cell in cells if cell.n), ""), short, remark, colour)


def _class_table(summary: Mapping[str, Any]) -> Table | None:
    """Scores by class of the last scored stage that is no reference, and as the total the mean over classes."""
    stages = scored_labels(summary["metrics"])
    if "by_class" not in summary or not stages:
        return None
    references = {row.label for row in STAGES.values() if row.supervision == "full"}
    stage = next((name for name in reversed(stages) if name not in references), stages[-1])
    measures = used_measures(name for name in summary["metrics"] if name.startswith(f"{stage}/"))
    by_class = summary["by_class"]
    return Table(
        "Scores by class",
        "Class",
        measures,
        [_row(class_name, _cells(figures, stage, measures)) for class_name, figures in by_class.items()],
        last="Images",
        total=_row(_MACRO.capitalize(), _cells(summary["macro"], stage, measures), _MACRO),
        console=f"{stage}, by class",
        console_rows=_MOST_CLASSES if len(by_class) <= _MOST_CLASSES else 0,
    )


def _class_parts(summary: Mapping[str, Any], *, grouped: bool) -> list[Part]:
    table = _class_table(summary)
    if table is None:
        return []
    count = len(table.rows)
    where = "" if table.console_rows else f"; each of the {count} classes stands in the report"
    hint = (
        "The mean over classes counts every class the same; beside it stands the standard deviation of the classes' "
        f"means, and the 95 % confidence interval by resampling {'patients' if grouped else 'images within classes'}; "
        f"a class of one image{', or of fewer than six patients,' if grouped else ''} has none, nor has then the mean "
        "over classes. Other stages and measures are in summary.json."
    )
    stage = table.console.partition(",")[0]
    brief = f"{_MACRO} ± standard deviation of the {count} classes' means{where}"
    return [Part(f"By class: {stage_title(stage)}", table=table, hints=[hint], console=[("", brief)])]


def _in_words(name: str) -> str:
    """A figure's name in a table: "sam/missed" is the share of SAM's masks without a pixel."""
    stage, _, measure = name.partition("/")
    return f"Empty: {stage_title(stage)}" if measure == "missed" else name


def _map_parts(metrics: Mapping[str, Any]) -> list[Part]:
    """A row for each measure of saliency maps, as each is defined for other images, and for all that is left."""
    of_maps = {f"saliency/{measure.name}": measure for measure in MAP_MEASURES}
    masks = [*MEASURES, *FURTHER_MEASURES, *MEASURES_WITHOUT_TRUTH]
    elsewhere = {f"{stage}/{measure.name}" for stage in scored_labels(metrics, masks) for measure in masks}
    maps = [
        _row(measure.label, [score_cell(metrics[name], measure.decimals)])
        for name, measure in of_maps.items()
        if name in metrics
    ]
    others = [
        _row(_in_words(name), [score_cell(figures)])
        for name, figures in metrics.items()
        if name not in elsewhere | of_maps.keys() and not name.startswith(_OTHER_TOPICS)
    ]
    return [
        Part(name, table=Table(name, "Measure", ["Mean ± std"], rows, last="Images", console=console))
        for name, rows, console in (
            ("Saliency maps", maps, "saliency map"),
            ("Other measures", others, ""),
        )
        if rows
    ]
