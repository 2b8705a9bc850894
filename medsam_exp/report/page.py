"""A run's HTML report: one file that loads nothing, so that it can be mailed, archived and printed; under 20 MB."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medsam_exp.metrics.measures import DISCLAIMER, number, used_measures
from medsam_exp.report.contents import contents
from medsam_exp.report.section import FigureFile, Section
from medsam_exp.report.topics.retrieval import RETRIEVAL
from medsam_exp.report.topics.uncertainty import review_list
from medsam_exp.report.web.drawings import Drawings, write_with_drawings
from medsam_exp.report.web.render import as_json, compressed_plotly
from medsam_exp.report.web.scores import run_data
from medsam_exp.stages.pipeline import mask_stages, stage_colour, stage_place, stage_title

_GROUPS = {
    "best": "Best cases",
    "median": "Median cases",
    "worst": "Worst cases",
    "example": "Examples",
    "grounding": "The same image under other texts",
}
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


def write_report(
    path: Path,
    *,
    title: str,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    figures: Sequence[FigureFile],
    draw: Callable[[int], Drawings] | None = None,
) -> None:
    """Write a run's report as one self-contained HTML file.

    Args:
        path: of the report.
        title: its heading.
        summary: content of summary.json; its `metrics` are empty where there is no ground truth.
        rows: those of per_image.csv, one per image and stage; none when the run had no images.
        figures: of all groups. The group "distribution" stands with the scores, "tuning" with the trials, "uncertainty"
            with its tables, "thumbnail: ID" and "review" with the list to review.
        draw: makes the image browser's drawings, of at most so many characters; None leaves the browser out.
    """
    data, review = run_data(title, summary["keys"], rows), review_list(summary, rows)
    has_plots, groups = bool(data["scores"]), _figure_groups(figures)
    sections = contents(summary)
    used = {part.figures for section in sections for part in section.parts}
    content = {
        "title": title,
        "disclaimer": DISCLAIMER,
        "summary": summary,
        "choices": _headline(summary, has_images=bool(rows)),
        "contents": sections,
        "placed": {group: groups.pop(group) for group in used & groups.keys()},
        "headings": _headings(sections, has_plots=has_plots, has_review=bool(review["lines"])),
        "review": {**review, "figures": groups.pop("review", [])},
        "thumbnails": {shown["caption"]: shown for shown in groups.pop("thumbnail", [])},
        "distribution": groups.pop("distribution", []),
        "figure_groups": {_GROUPS.get(group, group.capitalize()): found for group, found in groups.items()},
        "images": _image_table(rows),
        "number": number,
        "stage_colours": {label: stage_colour(label) for label in mask_stages().values()},
        "data": data,
        "data_json": as_json(data),
        "plotly": compressed_plotly() if has_plots else "",
    }
    write_with_drawings(path, Path(__file__).with_name("page.html"), content, draw if rows else None)


def _headings(sections: Sequence[Section], *, has_plots: bool, has_review: bool) -> dict[str, str]:
    """Heading by id of the sections up to the cases, with those that only the page has."""
    headings = {}
    for section in sections:
        headings[section.id] = section.title
        if section.id == "scores" and has_plots:
            headings["plots"] = "Plots"
        if section.id == "uncertainty" and has_review:
            headings["review"] = "Look at these first"
    return headings


def _headline(summary: Mapping[str, Any], *, has_images: bool) -> list[tuple[str, str]]:
    """The choices that made the results of this run."""
    used = [*_IMAGE_CHOICES] if has_images else ["clip"]
    if any(name.startswith(RETRIEVAL) for name in summary["metrics"]):
        used.insert(0, "pairs")
    labels = summary.get("weak_labels", {})
    used += ["weak_label"] if "weak_label" in labels else []
    used += ["nnunet", "nnunet_schedule"] if any("results" in facts for facts in labels.values()) else []
    return [(name, summary["choices"][name]) for name in used if name in summary["choices"]]


def _image_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One line per image, with the scores of its stages side by side."""
    by_image: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["id"], {})[row["stage"]] = row
    texts = {row["text"] for row in rows}
    stages = dict.fromkeys(row["stage"] for row in rows)
    columns = [
        {"stage": stage, "label": stage_title(stage), "colour": stage_colour(stage), "measures": measures}
        for stage in sorted(stages, key=stage_place)
        if (measures := used_measures(key for row in rows if row["stage"] == stage for key in row))
    ]
    return {
        "columns": columns,
        "last_stage": next((row["stage"] for row in reversed(rows) if "presence" in row), ""),
        "same_text": texts.pop() if len(texts) == 1 else None,
        "lines": by_image,
    }


def _figure_groups(figures: Sequence[FigureFile]) -> dict[str, list[dict[str, str]]]:
    """Figures by group, in their order: `caption`, which may be empty, `alternative`, which is read out, `source`."""
    groups: dict[str, list[dict[str, str]]] = {}
    for caption, path, source in figures:
        group, _, shown = caption.partition(": ")
        figure = {"caption": shown, "alternative": shown or path.stem, "source": source}
        groups.setdefault(group, []).append(figure)
    return groups
