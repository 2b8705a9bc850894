"""What the page knows of each run: scores by image, settings that differ, environment, keys."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.report.measures import MEASURES, stage_label
from medsam_exp.report.settings import differing, flat_settings
from medsam_exp.report.web.scores import interned, rounded
from medsam_exp.sweep.read import SEED, Job, SweepResults
from medsam_exp.sweep.scores import known_scores, scores_of_job

_SHOWN = ("dsc", "iou", "nsd")


def page_data(sweep: SweepResults) -> dict[str, Any]:
    """Everything that the page's plots and tables are drawn from, JSON-able.

    Returns:
        `axes` (axis -> values, without the seed), `scores` (name -> label), `images` (ids), `texts` (all that were
        looked for), `jobs`: number, label, values, seed, scores (name -> list by image, None where there is none),
        texts (by image, its place in `texts` or None), settings (those that differ between jobs), keys, command.
    """
    names = [name for name in known_scores(sweep) if name.partition("/")[2] in _SHOWN]
    by_job = {
        job.number: {name: scores_of_job(job, *name.split("/")) for name in names} for job in sweep.finished
    }
    ids = sorted({image for scores in by_job.values() for own in scores.values() for image in own})
    settings = differing([_settings(job) for job in sweep.finished])
    labels = {measure.name: measure.label for measure in MEASURES}
    texts, by_place = interned([_texts(job) for job in sweep.finished], ids)
    return {
        "axes": {axis: values for axis, values in sweep.axes.items() if axis != SEED},
        "scores": {n: f"{stage_label(n.split('/')[0])}, {labels[n.split('/')[1]]}" for n in names},
        "images": ids,
        "texts": texts,
        "jobs": [
            {
                "number": job.number,
                "label": label(job),
                "method": " / ".join(value for axis, value in job.values.items() if axis != SEED)
                or label(job),
                "values": dict(job.values),
                "scores": {
                    name: [rounded(own.get(image)) for image in ids]
                    for name, own in by_job[job.number].items()
                },
                "texts": own_texts,
                "settings": own_settings,
                "keys": dict(job.run.summary.get("keys", {})) if job.run else {},
                "command": job.command,
            }
            for job, own_texts, own_settings in zip(sweep.finished, by_place, settings, strict=True)
        ],
    }


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
        for name, value in (job.run.summary.get("environment", {}) if job.run else {}).items():
            found.setdefault(name, {})[str(value)] = None
    return {name: " | ".join(values) for name, values in found.items()}


def _texts(job: Job) -> dict[str, str]:
    return {row["id"]: row.get("text", "") for row in (job.run.rows if job.run else [])}


def _settings(job: Job) -> dict[str, str]:
    """A run's configuration, flat."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(job.folder / ".hydra" / "config.yaml"), resolve=False)
    except (OSError, OmegaConfBaseException, yaml.YAMLError):
        return {}
    return flat_settings(content)
