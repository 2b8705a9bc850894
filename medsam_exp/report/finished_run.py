"""Read a finished run's folder back: its summary and the scores of each image."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter

from medsam_exp.config.settings import NO_RESULT_OF_DATA, flat_settings
from medsam_exp.data.patients import clusters_of
from medsam_exp.data.tables import as_written
from medsam_exp.metrics.measures import ALL_MEASURES
from medsam_exp.runtime.foreign import naming_the_file, read_json, read_yaml
from medsam_exp.runtime.limits import refuse_long_text
from medsam_exp.types import UserError

_OF_TEXTS = ("target", "modality", "sentences", "sentence_lists")
_OF_CLASSES = ("class_name", "class_pattern", "index", "name_column", "class_column", "split_column")
_OF_PATIENTS = ("patient_pattern", "patient_column")
_SAME_IMAGES_WHATEVER = (
    "limit",
    "exclude",
    "count",
    "on_error",
    "name",
    *NO_RESULT_OF_DATA,
    *_OF_TEXTS,
    *_OF_CLASSES,
    *_OF_PATIENTS,
)
"""Settings of a dataset that decide which images are in it or what is said of them, but no pixel of image or mask."""
BETWEEN_TEXTS = " | "
"""In per_image.csv, where a sample has several texts."""
ONCE_PER_IMAGE = "an image that was asked for several classes counts once, by the mean of its scores"
_NOT_SCORES = {
    "id",
    "text",
    "stage",
    "presence",
    "vetoed",
    "peak_x",
    "peak_y",
    "class_name",
    "image_id",
    "patient",
    "tokens",
    "context",
}
"""Columns of per_image.csv that are facts, not measures."""


@dataclass(frozen=True)
class FinishedRun:
    """What a run left.

    Attributes:
        folder: of the run.
        summary: content of summary.json.
        rows: those of per_image.csv, as text; none of a run without images.
        data: the dataset's settings; empty when Hydra's configuration is not there any more, as are `settings`.
        settings: the whole configuration, flat, as Hydra left it, with its interpolations.
        artifacts: the folder of its stages' results; None where it is unknown.
    """

    folder: Path
    summary: Mapping[str, Any]
    rows: list[dict[str, str]]
    data: Mapping[str, Any]
    settings: Mapping[str, str] = field(default_factory=dict)
    artifacts: Path | None = None


_TABLE = TypeAdapter(dict[str, Any])
_CHOICES = TypeAdapter(dict[str, str | None])
_FIGURE = TypeAdapter(tuple[float | None, float | None, list[float | None] | None, int])
"""Mean, standard deviation, bounds of the interval and number of images of an entry of a summary's metrics."""
_AGAIN = "run it again"


def read_run(folder: Path, *, without_images: bool = False) -> FinishedRun:
    """Read a run's folder.

    Args:
        folder: of the run.
        without_images: take also a run that scored no single images, such as a training; its `rows` are empty.

    Raises:
        UserError: it is not a finished run's folder, or a file in it is broken.
    """
    rows_there = (folder / "per_image.csv").is_file()
    for name in ("summary.json", *(() if without_images else ("per_image.csv",))):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}; give the folder of a finished run over images")
    summary = read_json(folder / "summary.json", _AGAIN)
    if not isinstance(summary, dict) or "choices" not in summary:
        raise UserError(f"{folder / 'summary.json'} does not name the choices of a run")
    with naming_the_file(folder / "summary.json", "is not what a run leaves", _AGAIN):
        _check(summary)
    rows = _read_rows(folder / "per_image.csv") if rows_there else []
    if rows_there and (not rows or not {"id", "stage"} <= rows[0].keys()):
        raise UserError(f"{folder / 'per_image.csv'} has no rows with an id and a stage")
    configuration = read_configuration(folder)
    settings = flat_settings(OmegaConf.to_container(configuration, resolve=False)) if configuration else {}
    return FinishedRun(
        folder, summary, rows, _data_settings(configuration), settings, _artifacts(configuration)
    )


def read_configuration(folder: Path) -> DictConfig:
    """A run's configuration as Hydra left it, with its interpolations; empty where it cannot be read."""
    try:
        content = read_yaml(folder / ".hydra" / "config.yaml")
        return DictConfig(content) if isinstance(content, dict) else DictConfig({})
    except (UserError, OmegaConfBaseException, RecursionError):
        return DictConfig({})


def _check(summary: Mapping[str, Any]) -> None:
    """Check the form of what is read of a summary; raises anything."""
    _CHOICES.validate_python(summary["choices"], strict=True)
    if not isinstance(summary.get("date", ""), str):
        raise ValueError("its date is no text")
    for key in ("environment", "keys", "metrics", "supervision"):
        _TABLE.validate_python(summary.get(key, {}), strict=True)
    for said in summary.get("supervision", {}).values():
        _TABLE.validate_python(said, strict=True)
    for figure in summary.get("metrics", {}).values():
        bounds = figure["ci95"]
        numbers = (figure["mean"], figure["std"], bounds, figure.get("n", 0))
        _FIGURE.validate_python(numbers, strict=True)
        if bounds is not None and len(bounds) != 2:
            raise ValueError(f"ci95 has {len(bounds)} bounds")


def _read_rows(path: Path) -> list[dict[str, str]]:
    refuse_long_text(path)
    with (
        naming_the_file(path, "cannot be read as CSV", _AGAIN),
        path.open(newline="", encoding="utf-8") as file,
    ):
        return [{key: as_written(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _data_settings(configuration: DictConfig) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.select(configuration, "data"), resolve=True)
    except (OmegaConfBaseException, ValueError, TypeError, RecursionError):
        return {}
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def _artifacts(configuration: DictConfig) -> Path | None:
    try:
        root = OmegaConf.select(configuration, "paths.artifacts")
    except (OmegaConfBaseException, RecursionError):
        return None
    return Path(root) if isinstance(root, str) else None


def comparable(a: FinishedRun, b: FinishedRun, measure: str) -> None:
    """Refuse runs whose equal ids need not mean equal images and equal true masks, or whose measures differ.

    Raises:
        UserError: the datasets differ, or the tolerance of NSD.
    """
    first, second = (run.summary["choices"].get("data") for run in (a, b))
    if first != second:
        raise UserError(f"the runs are over different datasets, data={first} and data={second}")
    if a.data and b.data:
        named = first != "folder"  # a named dataset may lie elsewhere on another machine
        keys = sorted({*a.data, *b.data} - {*_SAME_IMAGES_WHATEVER, *(["root"] if named else [])})
        for key in keys:
            if a.data.get(key) != b.data.get(key):
                raise UserError(
                    f"the runs are over different datasets, data.{key}={a.data.get(key)} and {b.data.get(key)}"
                )
    tolerances = [run.summary.get("nsd_tolerance") for run in (a, b)]
    if measure == "nsd" and tolerances[0] != tolerances[1]:
        raise UserError(f"NSD has a tolerance of {tolerances[0]} in one run and {tolerances[1]} in the other")


def scores_of(
    a: FinishedRun, b: FinishedRun, measure: str, stage: str | None
) -> tuple[str, dict[str, float | None], dict[str, float | None]]:
    """One measure of both runs.

    Returns:
        The stage (the last that has the measure in both, unless given), and the scores of A and of B by id; None
        where an image has no finite score.

    Raises:
        UserError: a run does not have the measure, or not of this stage.
    """
    stages = [_stages(run, measure) for run in (a, b)]
    both = [name for name in stages[0] if name in stages[1]]
    for run, known in zip((a, b), stages, strict=True):
        if stage is not None and stage not in known:
            raise UserError(
                f"{run.folder} has no {measure} of stage {stage!r}; stages with it: {', '.join(known)}"
            )
    if not both:
        raise UserError(f"no stage has {measure} in both runs")
    chosen = stage or both[-1]
    of_a, of_b = (
        {row["id"]: finite(row[measure]) for row in run.rows if row["stage"] == chosen} for run in (a, b)
    )
    return chosen, of_a, of_b


def mark_of(run: FinishedRun, stage: str) -> str:
    """How the masks of a run's stage are supervised; "" where the run does not say it, as those of old."""
    return str(run.summary.get("supervision", {}).get(stage, {}).get("mark", ""))


def image_ids(run: FinishedRun) -> dict[str, str]:
    """The image of each sample, by the sample's id; an image that is asked for several classes has several."""
    return {row["id"]: row.get("image_id") or row["id"] for row in run.rows}


def patients_of(runs: Iterable[FinishedRun]) -> dict[str, str] | None:
    """What to draw and test together, by image, as the first run says that knows patients; None where none does.

    A run of old knows none. Names of patients are compared within one run alone: others may number them otherwise.
    """
    for run in runs:
        images = image_ids(run)
        told = {images[row["id"]]: row.get("patient") or None for row in run.rows}
        if (clusters := clusters_of(told)) is not None:
            return clusters
    return None


def samples_by_image(samples: Iterable[str], image_of: Mapping[str, str]) -> dict[str, list[str]]:
    """Put the samples of each image together, in their order; samples of one image are not independent."""
    found: dict[str, list[str]] = {}
    for sample_id in samples:
        found.setdefault(image_of[sample_id], []).append(sample_id)
    return found


def _stages(run: FinishedRun, measure: str) -> list[str]:
    """Stages with the measure, in the order of the file."""
    columns = [name for name in run.rows[0] if name is not None and name not in _NOT_SCORES]
    known = [name for name in columns if any(finite(row[name]) is not None for row in run.rows)]
    if measure not in known:
        labels = {name: f" ({measure.label})" for name, measure in ALL_MEASURES.items()}
        named = ", ".join(f"{name}{labels.get(name, '')}" for name in known)
        raise UserError(f"{run.folder} has no measure {measure!r}; it has {named or 'none'}")
    return list(dict.fromkeys(row["stage"] for row in run.rows if finite(row[measure]) is not None))


def finite(written: str | None) -> float | None:
    """A number of per_image.csv; None where there is none."""
    try:
        value = float(written or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
