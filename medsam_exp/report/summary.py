"""What a run leaves behind: summary.json, per_image.csv, masks, figures and the report."""

import logging
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from pathlib import Path
from sys import intern
from typing import Any

from omegaconf import DictConfig

import medsam_exp
from medsam_exp.config.shells import for_shell
from medsam_exp.config.start_command import start_command
from medsam_exp.config.tuned import tuned_without_masks
from medsam_exp.data.patients import known_patients, patient_notes, patients_of_samples
from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.by_class import breakdown, over_images
from medsam_exp.report.contents import pictures_of
from medsam_exp.report.declarations import truth_uses
from medsam_exp.report.finished_run import BETWEEN_TEXTS, ONCE_PER_IMAGE
from medsam_exp.report.mask_files import write_mask_files, write_rows
from medsam_exp.report.page import write_report
from medsam_exp.report.pictures import Picture, save_pictures
from medsam_exp.report.results import RunResults
from medsam_exp.report.topics.cases import draw_browser, help_to_draw, shown_in_browser
from medsam_exp.report.topics.grounding import presence_results, veto_notes
from medsam_exp.report.topics.retrieval import retrieval_results
from medsam_exp.report.topics.tuning import draw_tuning, tuning_results
from medsam_exp.report.topics.uncertainty import uncertainty_results
from medsam_exp.report.topics.weak import comparisons, label_notes, weak_label_results
from medsam_exp.report.web.drawings import Drawing, drawn_stages
from medsam_exp.runtime import distributed
from medsam_exp.runtime.conf_folder import in_checkout
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.wording import first_line
from medsam_exp.stages.pipeline import mask_stages
from medsam_exp.stages.text_truncation import cut_notes, cut_of_samples
from medsam_exp.types import Dataset

log = logging.getLogger(__name__)

_COLUMNS = ("id", "text", "stage", "dsc", "iou", "nsd", "hd95_px", "presence")
_PACKAGES = (
    "torch",
    "pytorch-lightning",
    "open_clip_torch",
    "timm",
    "segment-anything",
    "numpy",
    "scikit-image",
    "nnunetv2",
)
_POINTING_TOLERANCE_PX = 8


def finish_run(
    cfg: DictConfig,
    run_dir: Path,
    origin: Mapping[str, Any],
    engine: Engine,
    dataset: Dataset | None,
    texts: Mapping[str, tuple[str, ...]],
    texts_tell: str,
    leaks: Sequence[str] = (),
    caution: str = "",
    supervision: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], RunResults | None]:
    """Write a finished run's files.

    Args:
        cfg: of the run.
        run_dir: the run's folder.
        origin: choices, command and the like.
        engine: with all stages run.
        dataset: the images; None for a run without.
        texts: by sample id.
        texts_tell: what texts give away of what images truly show; "" for nothing.
        leaks: between splits of the data, one sentence each.
        caution: what must stand beside the results, one sentence; "" for nothing.
        supervision: of each stage's masks, as `medsam_exp.engine.supervision` has it.

    Returns:
        The content of summary.json, and what a run over images has.
    """
    if distributed.world_size() > 1:
        distributed.from_rank_zero(_to_draw(cfg, engine, dataset, texts))
    cut = cut_of_samples(engine.artifacts, engine.sample_ids)
    rows = _per_image_rows(engine, texts, cut)
    scores, retrieval, presence = _scores(engine), retrieval_results(engine), presence_results(engine, cfg)
    images, patients = _image_ids(dataset), patients_of_samples(dataset)
    class_names = {sample.id: sample.class_name for sample in dataset.samples} if dataset else {}
    by_class = breakdown(scores, class_names, cfg.seed, patients, images)
    labels, scored = weak_label_results(engine, cfg), "evaluate" in engine.artifacts
    tuning = tuning_results(engine, cfg, origin["choices"])
    optional = {
        "caution": caution,
        "supervision": supervision,
        "nsd_tolerance": f"{cfg.metrics.nsd_tolerance:g} {cfg.metrics.tolerance_unit}" if scored else "",
        "tuning": tuning,
        "retrieval": retrieval["facts"],
        "presence": presence["facts"],
        "weak_labels": labels,
        "comparison": comparisons(engine, dataset, cfg.seed),
        "uncertainty": uncertainty_results(engine, cfg),
        "changed_settings": origin.get("changed_settings"),
    }
    notes = [*leaks, *tuned_without_masks(cfg), *_notes(engine, dataset, cut), *label_notes(labels)]
    if by_class and (unlabelled := list(class_names.values()).count(None)):
        notes.append(f"in no class's scores, as they have no class: {unlabelled} images")
    summary = {
        "name": cfg.name,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": origin["command"],
        "metrics": over_images(scores, images, cfg.seed, patients)
        | retrieval["metrics"]
        | presence["metrics"],
        **by_class,
        **{name: found for name, found in optional.items() if found},
        "choices": dict(origin["choices"]),
        "timing": {name: asdict(timing) for name, timing in engine.timing.items()},
        "keys": {name: artifacts.key for name, artifacts in engine.artifacts.items()},
        "environment": {**_environment(), "precision": _precision(engine)},
        "ground_truth_used_for": truth_uses(engine, cfg, texts_tell, labels, by_class=bool(by_class)),
        "notes": notes,
    }
    write_atomically(run_dir / "summary.json", json_text(summary, indent=1).encode())
    pictures = [*_of_trainings(run_dir / "curves" / "metrics.csv"), *draw_tuning(tuning)]
    drawn: Iterable[tuple[str, Drawing]] = ()
    results = None
    if dataset is not None:
        if rows:
            further = sorted({key for row in rows for key in row} - set(_COLUMNS))
            write_rows(run_dir / "per_image.csv", rows, first=(*_COLUMNS, *further))
            write_mask_files(run_dir, engine, dataset, cfg.review.by)
        results = RunResults(cfg, engine, dataset, texts, rows, summary)
        pictures += pictures_of(results)
        drawn = draw_browser(results) if rows else ()
    root = Path(cfg.paths.artifacts)
    figures = save_pictures(pictures, run_dir / "figures", root, summary["keys"])
    report = run_dir / "report.html"
    write_report(report, title=cfg.name, summary=summary, rows=rows, figures=figures, drawn=drawn)
    return summary, results if rows else None


def help_to_finish(
    cfg: DictConfig, engine: Engine, dataset: Dataset | None, texts: Mapping[str, tuple[str, ...]]
) -> None:
    """What a job's other processes do while the first is at `finish_run`: they make drawings of its report.

    Args:
        cfg: of the run.
        engine: with all stages run.
        dataset: the images; None for a run without.
        texts: by sample id.
    """
    sample_ids = distributed.from_rank_zero(list[str]())
    if dataset is not None and sample_ids:
        help_to_draw(RunResults(cfg, engine, dataset, texts, [], {}), sample_ids)


def _to_draw(
    cfg: DictConfig, engine: Engine, dataset: Dataset | None, texts: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Ids of the images that the report draws; none where a run has nothing to draw."""
    if dataset is None or not engine.artifacts.keys() & set(drawn_stages()):
        return []
    return shown_in_browser(RunResults(cfg, engine, dataset, texts, [], {}))


def _of_trainings(curves: Path) -> list[Picture]:
    if not curves.is_file():
        return []
    with curves.open(errors="replace") as file:
        columns = file.readline()
    if "train/" not in columns and "val/" not in columns:
        return []  # figures of other stages
    from medsam_exp.report.figures.training import draw_trainings  # imports pandas and matplotlib

    try:
        return list(draw_trainings(curves))
    except (ValueError, KeyError) as error:  # it was damaged since; the run's results do not depend on it
        log.warning("%s is damaged, so its curves are not drawn: %s", curves, first_line(error))
        return []


def _per_image_rows(
    engine: Engine, texts: Mapping[str, tuple[str, ...]], cut: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """One row per sample and stage; scores are absent where there is no ground truth.

    A sample of an image that is asked for several classes has the image's own id too, and one whose patient is known
    has that.
    """
    image_of = _image_ids(engine.dataset)
    patient_of = {sample.id: sample.patient for sample in (engine.dataset.samples if engine.dataset else ())}
    of_masks = mask_stages()
    stages = {"saliency": "saliency", **of_masks}
    made = {short: engine.artifacts[stage] for stage, short in stages.items() if stage in engine.artifacts}
    scored = dict.fromkeys(short for found in engine.scores.values() for short in found)
    said = {sample_id: BETWEEN_TEXTS.join(texts[sample_id]) for sample_id in engine.sample_ids}
    rows = []
    for short in dict.fromkeys([*made, *scored]):
        stored = made.get(short)
        infos = repeat({}) if stored is None else stored.infos(engine.sample_ids)
        for sample_id, info in zip(engine.sample_ids, infos, strict=False):
            row: dict[str, Any] = {"id": sample_id, "text": said[sample_id], "stage": short}
            row |= {key: cut[sample_id][key] for key in ("tokens", "context") if sample_id in cut}
            row |= {"image_id": image_id} if (image_id := image_of.get(sample_id)) else {}
            row |= {"patient": patient} if (patient := patient_of.get(sample_id)) else {}
            row |= engine.scores[sample_id].get(short, {})
            row |= {key: info[key] for key in ("presence", "vetoed", "peak_x", "peak_y") if key in info}
            if stored is not None and stored.stage in of_masks and info.get("presence", 1.0):
                row["presence"] = float(stored.mask(sample_id).any())
            rows.append(row)
    return rows


def _environment() -> dict[str, str]:
    """The machine and the versions that results depend on."""
    packages = {name: _version(name) for name in _PACKAGES}
    return {
        "medsam_exp": medsam_exp.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **_devices(),
        **packages,
    }


def _precision(engine: Engine) -> str:
    """Of the Trainer: one for all stages, or the stages of each."""
    stages: dict[str, list[str]] = {}
    for name, (value, _) in engine.plan.precisions.items():
        stages.setdefault(value, []).append(name)
    return "; ".join(
        value if len(stages) == 1 else f"{value}: {', '.join(names)}" for value, names in stages.items()
    )


def _devices() -> dict[str, str]:
    """What networks ran on; nothing where all results were stored, so that torch was never imported."""
    if (torch := sys.modules.get("torch")) is None:
        return {}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"processor_threads": str(torch.get_num_threads()), "gpu": gpu}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # an optional one
        return "none"


def _commit() -> str:
    if not in_checkout() or shutil.which("git") is None:  # else it might be another project's commit
        return f"medsam-exp {medsam_exp.__version__}"
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _scores(engine: Engine) -> dict[str, dict[str, float]]:
    """Every score of every sample, as "stage/measure", with the hits of the pointing game."""
    found: dict[str, dict[str, float]] = {}
    for sample_id, scores in engine.scores.items():
        own = found[sample_id] = {
            intern(f"{stage}/{measure}"): value
            for stage, measures in scores.items()
            for measure, value in measures.items()
        }
        if "saliency/peak_distance_px" in own:
            hit = own["saliency/peak_distance_px"] <= _POINTING_TOLERANCE_PX
            own[f"saliency/peak_within_{_POINTING_TOLERANCE_PX}px"] = float(hit)
    return found


def _image_ids(dataset: Dataset | None) -> dict[str, str]:
    """Own id of the image of each sample, where the image is asked for several classes."""
    samples = dataset.samples if dataset else ()
    return {sample.id: sample.image_id for sample in samples if sample.image_id}


def _notes(engine: Engine, dataset: Dataset | None, cut: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was cleaned, mended or skipped in images and pairs, each said once."""
    notes = cut_notes(cut, len(engine.sample_ids))
    notes += patient_notes(known_patients(dataset)) if "evaluate" in engine.artifacts else []
    notes += dataset.notes if dataset else ()
    for stage in ("finetune_clip", "retrieval"):
        if stage in engine.artifacts:
            notes += engine.artifacts[stage].info("all")["notes"]
    if _image_ids(dataset) and "evaluate" in engine.artifacts:
        notes.append(ONCE_PER_IMAGE)
    return list(dict.fromkeys(notes + veto_notes(engine)))


def command_line(overrides: list[str]) -> str:
    """The command that repeats this run."""
    own = [part for part in overrides if not part.startswith("+sweep=")]  # a job of a sweep is one run
    return " ".join([start_command(), *map(for_shell, own)])
