"""Write a sweep's report: one HTML file, plots by plotly, under 20 MB; the scores of many images lie beside it."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup

from medsam_exp.config.settings import differing
from medsam_exp.metrics.measures import DISCLAIMER, MEASURES
from medsam_exp.report.web.beside import IMAGES_IN_PAGE, Beside
from medsam_exp.report.web.drawings import Drawings, write_with_drawings
from medsam_exp.report.web.render import as_json, compressed_plotly
from medsam_exp.report.web.scores import interned, rounded
from medsam_exp.stages.pipeline import stage_title
from medsam_exp.sweep.read import SEED, Job, SweepResults
from medsam_exp.sweep.report.images import draw_images, drawing_keys, texts_of
from medsam_exp.sweep.scores import by_dataset, images_of_samples, known_scores, scores_of_job
from medsam_exp.sweep.sheets import Sheet, html_table

_Value = TypeVar("_Value")
_SHOWN = ("dsc", "iou", "nsd")


def write_sweep_report(path: Path, sweep: SweepResults, sheets: Mapping[str, Sheet]) -> None:
    """Write the report of a sweep.

    Args:
        path: of the file.
        sweep: read back.
        sheets: its tables by name; the overviews of several measures first.
    """
    data, beside = page_data(sweep), Beside(path)
    many = len(data["images"]) > IMAGES_IN_PAGE
    if many:
        beside.write_scores(data)
    content = {
        "title": sweep.name,
        "of": ", ".join([*datasets_of(sweep), last_date(sweep)[:10]]),
        "datasets": datasets_of(sweep),
        "date": last_date(sweep),
        "disclaimer": DISCLAIMER,
        "cautions": cautions_of(sweep),
        "choices": [(axis, ", ".join(values)) for axis, values in sweep.axes.items()],
        "sweep": sweep,
        "data": data,
        "tables": {name: (sheet, Markup(html_table(sheet))) for name, sheet in sheets.items()},
        "environment": environments(sweep.finished),
        "data_json": as_json(_without_images(data) if many else data),
        "beside": beside.folder if many else "",
        "plotly": compressed_plotly() if data["scores"] else "",
    }
    draw = partial(_drawings, sweep, data) if data["images"] else None
    write_with_drawings(path, Path(__file__).with_name("page.html"), content, draw)


def datasets_of(sweep: SweepResults) -> list[str]:
    """Choices of `data` of the jobs with results."""
    chosen = (job.run.summary["choices"].get("data") for job in sweep.finished)
    return list(dict.fromkeys(filter(None, chosen)))


def cautions_of(sweep: SweepResults) -> list[str]:
    """What must stand beside the masks of some jobs, each sentence once."""
    said = (job.run.summary.get("caution") for job in sweep.finished)
    return list(dict.fromkeys(filter(None, said)))


def last_date(sweep: SweepResults) -> str:
    """When the last job was done, as ISO 8601; "" without results."""
    return max((str(job.run.summary.get("date", "")) for job in sweep.finished), default="")


def _without_images(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a page has whose scores lie beside it and are not there."""
    jobs = [{**job, "scores": dict.fromkeys(job["scores"], ()), "texts": []} for job in data["jobs"]]
    return {**data, "images": [], "texts": [], "jobs": jobs}


def _drawings(sweep: SweepResults, data: Mapping[str, Any], budget: int) -> Drawings:
    """Pictures of the images that all runs share; of several datasets those of the first."""
    groups, _ = by_dataset(sweep.finished, "dsc")
    dataset = _dataset_names(sweep)[groups[0][0].number]
    own = {image_name(dataset, sample_id): sample_id for sample_id in images_of_samples(groups[0])}
    ids = [own[name] for name in by_disagreement(data) if name in own]
    drawings = draw_images(groups[0], ids, budget).renamed(partial(image_name, dataset))
    if len(groups) > 1:
        drawings.remarks.append(f"images are shown of the first of {len(groups)} datasets")
    return drawings


def page_data(sweep: SweepResults) -> dict[str, Any]:
    """Everything that the page's plots and tables are drawn from, JSON-able.

    Returns:
        `axes` (axis -> values, without the seed), `scores` (name -> label), `images` (as `image_name` has them; one
        asked for several classes is there once for each), `image_count` (of different images), `texts` (all that were
        looked for), `jobs`: number, label, values, seed, dataset, scores (name -> list by image, None where there is
        none), texts (by image, its place in `texts` or None), settings (those that differ between jobs), keys, drawn
        (`drawing_keys`), command.
    """
    datasets = _dataset_names(sweep)
    names = [name for name in known_scores(sweep) if name.partition("/")[2] in _SHOWN]
    by_job = {
        job.number: {
            name: _by_image_name(datasets[job.number], scores_of_job(job, *name.split("/"))) for name in names
        }
        for job in sweep.finished
    }
    by_image = [_by_image_name(datasets[job.number], texts_of(job)) for job in sweep.finished]
    scored = {image for scores in by_job.values() for own in scores.values() for image in own}
    shown = scored or {image for own in by_image for image in own}  # without true masks nothing is scored
    ids = sorted(shown)
    settings = differing([dict(job.run.settings) for job in sweep.finished])
    labels = {measure.name: measure.label for measure in MEASURES}
    texts, by_place = interned(by_image, ids)
    groups, _ = by_dataset(sweep.finished, "dsc")
    drawn = {number: keys for group in groups for number, keys in drawing_keys(group).items()}
    return {
        "axes": {axis: values for axis, values in sweep.axes.items() if axis != SEED},
        "scores": {n: f"{stage_title(n.split('/')[0])}, {labels[n.split('/')[1]]}" for n in names},
        "images": ids,
        "image_count": _count_images(sweep, datasets),
        "texts": texts,
        "jobs": [
            {
                "number": job.number,
                "label": label(job),
                "method": " / ".join(value for axis, value in job.values.items() if axis != SEED)
                or label(job),
                "values": dict(job.values),
                "dataset": datasets[job.number],
                "scores": {
                    name: [rounded(own.get(image)) for image in ids]
                    for name, own in by_job[job.number].items()
                },
                "texts": own_texts,
                "settings": own_settings,
                "keys": dict(job.run.summary.get("keys", {})),
                "drawn": drawn.get(job.number, {}),
                "command": job.command,
            }
            for job, own_texts, own_settings in zip(sweep.finished, by_place, settings, strict=True)
        ],
    }


def _dataset_names(sweep: SweepResults) -> dict[int, str]:
    """The dataset of each finished job, by the job's number; all "" where there is one dataset."""
    groups, _ = by_dataset(sweep.finished, "dsc")
    if len(groups) == 1:
        return dict.fromkeys((job.number for job in groups[0]), "")
    choices = [str(job.run.summary["choices"].get("data")) for job, *_ in groups]
    named = [
        choice if choices.count(choice) == 1 else f"{choice} {choices[: place + 1].count(choice)}"
        for place, choice in enumerate(choices)
    ]
    return {job.number: name for name, group in zip(named, groups, strict=True) for job in group}


def image_name(dataset: str, sample_id: str) -> str:
    """An image's name on the page: equal ids of two datasets are two images."""
    return f"{dataset}: {sample_id}" if dataset else sample_id


def label(job: Job) -> str:
    """A job's name for readers."""
    return f"{job.number}: {' / '.join(job.values.values())}"


def by_disagreement(data: Mapping[str, Any]) -> list[str]:
    """Ids of the images, those first on which the runs' last scores differ most."""
    name = next((name for name in reversed(list(data["scores"])) if name.endswith("/dsc")), None)
    if name is None:
        return list(data["images"])
    columns = zip(*(job["scores"][name] for job in data["jobs"]), strict=True)
    spread = {
        image: max(known) - min(known) if (known := [value for value in column if value is not None]) else 0.0
        for image, column in zip(data["images"], columns, strict=True)
    }
    return sorted(spread, key=lambda image: (-spread[image], image))


def environments(jobs: Sequence[Job]) -> dict[str, str]:
    """Facts of machine and versions; where jobs differ, every value."""
    found: dict[str, dict[str, None]] = {}
    for job in jobs:
        for name, value in job.run.summary.get("environment", {}).items():
            found.setdefault(name, {})[str(value)] = None
    return {name: " | ".join(values) for name, values in found.items()}


def _by_image_name(dataset: str, values: Mapping[str, _Value]) -> dict[str, _Value]:
    return {image_name(dataset, sample_id): value for sample_id, value in values.items()}


def _count_images(sweep: SweepResults, datasets: Mapping[int, str]) -> int:
    """How many different images were scored, whatever they were asked for."""
    groups: dict[str, list[Job]] = {}
    for job in sweep.finished:
        groups.setdefault(datasets[job.number], []).append(job)
    return sum(len(set(images_of_samples(group).values())) for group in groups.values())
