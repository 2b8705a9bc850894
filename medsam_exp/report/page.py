"""A run's HTML report: one file that loads nothing, so that it can be mailed, archived and printed; under 20 MB."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsam_exp.metrics.measures import (
    DISCLAIMER,
    FURTHER_MEASURES,
    MAP_MEASURES,
    MEASURES,
    Cell,
    Measure,
    by_patient,
    number,
    score_cell,
    used_measures,
)
from medsam_exp.report.by_class import MACRO, class_table
from medsam_exp.report.embedded import picture_groups
from medsam_exp.report.grounding import COLUMNS, grounding_lines, presence_sentences, without
from medsam_exp.report.retrieval import DIRECTIONS, RETRIEVAL, explanation, retrieval_lines
from medsam_exp.report.tuning import trial_lines, tuning_sentences
from medsam_exp.report.uncertainty_tables import UNCERTAINTY, review_lines, uncertainty_section
from medsam_exp.report.weak import (
    comparison_columns,
    comparison_hints,
    comparison_lines,
    label_sections,
    trained,
)
from medsam_exp.report.web.drawings import Drawings
from medsam_exp.report.web.render import LARGEST, as_json, compressed_plotly, render
from medsam_exp.report.web.scores import run_data
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.stages.pipeline import mask_stages, scored_labels, stage_colour, stage_place, stage_title

_GROUPS = {
    "best": "Best cases",
    "median": "Median cases",
    "worst": "Worst cases",
    "example": "Examples",
    "grounding": "The same image under other texts",
}
_DISTRIBUTION = "distribution"
_TUNING = "tuning"
_NNUNET_CHOICES = ("nnunet", "nnunet_schedule")
_IMAGE_CHOICES = (
    "data",
    "text",
    "clip",
    "saliency",
    "postprocess",
    "component_filter",
    "veto",
    "prompt",
    "sam",
)


@dataclass(frozen=True)
class ScoreColumns:
    """The columns of one stage in the table of images."""

    stage: str
    label: str
    colour: str
    measures: list[Measure]


def write_report(
    path: Path,
    *,
    title: str,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    pictures: Sequence[tuple[str, Path]],
    draw: Callable[[int], Drawings] | None = None,
) -> None:
    """Write a run's report as one self-contained HTML file.

    Args:
        path: of the report.
        title: its heading.
        summary: content of summary.json; its `metrics` are empty where there is no ground truth.
        rows: those of per_image.csv, one per image and stage; none when the run had no images.
        pictures: (caption, file); a caption is "group" or "group: what is shown", and pictures of one group
            follow each other. The group "distribution" stands with the scores, "tuning" with the trials, "uncertainty"
            with its tables, "thumbnail: ID" and "review" with the list to review.
        draw: makes the image browser's drawings, of at most so many characters; None leaves the browser out.
    """
    data = run_data(title, summary["keys"], rows)
    content = {
        **_content(summary, rows, pictures),
        "title": title,
        "disclaimer": DISCLAIMER,
        "data": data,
        "data_json": as_json(data),
        "plotly": compressed_plotly() if data["scores"] else "",
    }
    drawings = draw(LARGEST - len(_rendered(content, Drawings()))) if draw and rows else Drawings()
    write_atomically(path, _rendered(content, drawings).encode())


def _rendered(content: Mapping[str, Any], drawings: Drawings) -> str:
    template = Path(__file__).with_name("page.html")
    return render(template, **content, drawings=drawings, drawings_json=as_json(drawings.content))


def _content(
    summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], pictures: Sequence[tuple[str, Path]]
) -> dict[str, Any]:
    """Everything that the template says, but the title."""
    groups, ids = picture_groups(pictures), {row["id"] for row in rows}
    return {
        "summary": summary,
        "choices": _headline(summary, has_images=bool(rows)),
        "scores": _score_table(summary["metrics"], MEASURES),
        "further_scores": _score_table(summary["metrics"], FURTHER_MEASURES),
        "by_class": class_table(summary),
        "macro": MACRO,
        "by_patient": any(map(by_patient, summary["metrics"].values())),
        "stage_title": stage_title,
        "stage_colours": {label: stage_colour(label) for label in mask_stages().values()},
        "other_scores": _other_scores(summary["metrics"]),
        "retrieval": {
            "directions": list(DIRECTIONS.values()),
            "lines": retrieval_lines(summary["metrics"]),
            "explanation": explanation(summary.get("retrieval", {})),
        },
        "trials": trial_lines(summary.get("tuning", {})),
        "tuning": tuning_sentences(summary.get("tuning", {})),
        "tuning_pictures": groups.pop(_TUNING, []),
        "grounding": {
            "columns": list(COLUMNS.values()),
            "lines": grounding_lines(summary["metrics"]),
            "sentences": presence_sentences(summary.get("presence", {}), summary["metrics"]),
            "pictures": groups.pop("presence", []),
        },
        "labels": label_sections(summary.get("weak_labels", {})),
        "comparison": {
            "columns": comparison_columns(summary.get("comparison", [])),
            "lines": comparison_lines(summary.get("comparison", [])),
            "hints": comparison_hints(summary.get("comparison", [])),
        },
        "uncertainty": uncertainty_section(summary.get("uncertainty", {}), summary["metrics"], len(ids)),
        "uncertainty_pictures": groups.pop("uncertainty", []),
        "review": review_lines(summary.get("uncertainty", {}), rows),
        "thumbnails": {shown.caption: shown for shown in groups.pop("thumbnail", [])},
        "review_pictures": groups.pop("review", []),
        "distribution": groups.pop(_DISTRIBUTION, []),
        "picture_groups": {_GROUPS.get(group, group.capitalize()): found for group, found in groups.items()},
        "images": _image_table(rows),
        "number": number,
    }


def _headline(summary: Mapping[str, Any], *, has_images: bool) -> list[tuple[str, str]]:
    """The choices that made the results of this run."""
    used = [*_IMAGE_CHOICES] if has_images else ["clip"]
    if any(name.startswith(RETRIEVAL) for name in summary["metrics"]):
        used.insert(0, "pairs")
    labels = summary.get("weak_labels", {})
    used += [name for name in ("weak_label",) if name in labels]
    used += _NNUNET_CHOICES if trained(labels) else ()
    return [(name, summary["choices"][name]) for name in used if name in summary["choices"]]


def _score_table(metrics: Mapping[str, Any], among: Sequence[Measure]) -> dict[str, Any]:
    measures = used_measures(metrics, among)
    lines = [
        {
            "label": stage_title(stage),
            "colour": stage_colour(stage),
            "cells": [score_cell(metrics.get(f"{stage}/{m.name}"), m.decimals) for m in measures],
        }
        for stage in scored_labels(metrics)
    ]
    return {"measures": measures, "lines": lines}


def _other_scores(metrics: Mapping[str, Any]) -> dict[str, Cell]:
    """What is measured of other things than masks, such as where the saliency map peaks."""
    masks = [*MEASURES, *FURTHER_MEASURES]
    tabulated = {f"{stage}/{measure.name}" for stage in scored_labels(metrics) for measure in masks}
    elsewhere = (RETRIEVAL, UNCERTAINTY)
    others = [name for name in without(metrics) if name not in tabulated and not name.startswith(elsewhere)]
    known = {f"saliency/{measure.name}": measure.decimals for measure in MAP_MEASURES}
    return {name: score_cell(metrics[name], known.get(name, 3)) for name in others}


def _image_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One line per image, with the scores of its stages side by side."""
    by_image: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["id"], {})[row["stage"]] = row
    texts = {row["text"] for row in rows}
    stages = dict.fromkeys(row["stage"] for row in rows)
    columns = [
        ScoreColumns(stage, stage_title(stage), stage_colour(stage), measures)
        for stage in sorted(stages, key=stage_place)
        if (measures := used_measures(key for row in rows if row["stage"] == stage for key in row))
    ]
    return {
        "columns": columns,
        "last_stage": next((row["stage"] for row in reversed(rows) if "presence" in row), ""),
        "same_text": texts.pop() if len(texts) == 1 else None,
        "lines": by_image,
    }
