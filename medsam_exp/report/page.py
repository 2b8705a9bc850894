"""A run's HTML report: one file that loads nothing, so that it can be mailed, archived and printed; under 20 MB.

Of many images, scores and drawings lie in a folder beside it, in scripts that the page loads.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medsam_exp.metrics.measures import DISCLAIMER, number, used_measures
from medsam_exp.report.contents import contents
from medsam_exp.report.section import FigureFile, Section
from medsam_exp.report.topics.retrieval import RETRIEVAL
from medsam_exp.report.topics.supervision import final_mark
from medsam_exp.report.topics.uncertainty import review_list
from medsam_exp.report.web.beside import DRAWINGS_IN_PAGE, IMAGES_IN_PAGE, Beside
from medsam_exp.report.web.drawings import Drawing, Drawings
from medsam_exp.report.web.render import as_json, compressed_plotly, render
from medsam_exp.report.web.scores import run_data
from medsam_exp.runtime.digests import write_atomically
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
    drawn: Iterable[tuple[str, Drawing]] = (),
) -> None:
    """Write a run's report as one self-contained HTML file, of many images with a folder beside it.

    Args:
        path: of the report.
        title: its heading.
        summary: content of summary.json; its `metrics` are empty where there is no ground truth.
        rows: those of per_image.csv, one per image and stage; none when the run had no images.
        figures: of all groups. The group "distribution" stands with the scores, "tuning" with the trials, "uncertainty"
            with its tables, "thumbnail: ID" and "review" with the list to review.
        drawn: the image browser's drawings with the images' ids, the most telling first; none leaves the browser out.
    """
    images, beside = _image_table(rows), Beside(path)
    drawings, many = _collected(drawn, beside, many=images["count"] > IMAGES_IN_PAGE)
    if len(drawings.names) < images["count"] and drawings.names:
        shown = f"{len(drawings.names)} of {images['count']} images are shown, those with the worst masks"
        drawings.remarks.append(f"{shown}; all masks are in the run's folder")
    data, review = run_data(title, summary["keys"], rows), review_list(summary, rows)
    has_plots, groups = bool(data["scores"]), _figure_groups(figures)
    sections = contents(summary)
    used = {part.figures for section in sections for part in section.parts}
    content = {
        "title": title,
        "of": _subject(summary),
        "supervision": final_mark(summary),
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
        "images": images,
        "beside": beside.folder if many else "",
        "drawings": drawings,
        "drawings_json": as_json(beside.index(drawings) if many else drawings.content),
        "number": number,
        "stage_colours": {label: stage_colour(label) for label in mask_stages().values()},
        "data": data,
        "data_json": as_json(run_data(title, {}, []) if many else data),
        "plotly": compressed_plotly() if has_plots else "",
    }
    if many:
        beside.write_scores({**data, "found": _found(images)})
    page = render(Path(__file__).with_name("page.html"), **content)
    write_atomically(path, page.encode(), durable=False)


def _collected(drawn: Iterable[tuple[str, Drawing]], beside: Beside, *, many: bool) -> tuple[Drawings, bool]:
    """The drawings, and whether they lie beside the page, which is so of many images or where they do not fit in."""
    found = Drawings()
    for sample_id, drawing in drawn:
        found.add(sample_id, drawing)
        many = many or found.size > DRAWINGS_IN_PAGE
        if many:
            beside.write_drawings(found, rest=False)
    if many:
        beside.write_drawings(found, rest=True)
    return found, many


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


def _subject(summary: Mapping[str, Any]) -> str:
    """Dataset, method and date, which tell one tab of a browser from another."""
    chosen = [summary["choices"].get(group, "") for group in ("data", "saliency", "sam")]
    return ", ".join(filter(None, [*chosen, str(summary.get("date", ""))[:10]]))


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
        "count": len(by_image),
    }


def _found(images: Mapping[str, Any]) -> list[bool | None]:
    """Whether the last mask of each image has any pixel; None where there is no mask."""
    found = (stages.get(images["last_stage"], {}).get("presence") for stages in images["lines"].values())
    return [None if presence is None else bool(presence) for presence in found]


def _figure_groups(figures: Sequence[FigureFile]) -> dict[str, list[dict[str, str]]]:
    """Figures by group, in their order: `caption`, which may be empty, `alternative`, which is read out, `source`."""
    groups: dict[str, list[dict[str, str]]] = {}
    for caption, path, source in figures:
        group, _, shown = caption.partition(": ")
        figure = {"caption": shown, "alternative": shown or path.stem, "source": source}
        groups.setdefault(group, []).append(figure)
    return groups
