"""The pictures of a run: one function a kind; each draws from stored artifacts and says where its files are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medsam_exp.engine.engine import Engine
from medsam_exp.report.figures.overlay import ImageResult, distribution_figure, overlay_figure
from medsam_exp.report.figures.style import save_png
from medsam_exp.report.figures.words import words_figure
from medsam_exp.report.mask_files import final_stage
from medsam_exp.report.section import Picture
from medsam_exp.report.topics.grounding import draw_controls, draw_presence
from medsam_exp.report.topics.uncertainty import draw_doubt, draw_review
from medsam_exp.report.web.drawings import Drawings, draw, drawn_stages
from medsam_exp.stages.pipeline import STAGES, mask_stages
from medsam_exp.stages.sam_mask import from_record
from medsam_exp.types import Dataset, Mask, RGBImage


@dataclass(frozen=True)
class RunResults:
    """What a finished run over images has.

    Attributes:
        cfg: its configuration.
        engine: its stages and their artifacts.
        dataset: its images.
        texts: texts by sample id.
        rows: those of per_image.csv.
    """

    cfg: DictConfig
    engine: Engine
    dataset: Dataset
    texts: Mapping[str, tuple[str, ...]]
    rows: list[dict[str, Any]]


def draw_pictures(results: RunResults, folder: Path) -> list[Picture]:
    """Draw all pictures of a run into a folder."""
    folder.mkdir(exist_ok=True)
    cfg, engine, dataset = results.cfg, results.engine, results.dataset
    return [
        *draw_cases(results, folder),
        *draw_distribution(results, folder),
        *draw_doubt(engine, cfg, folder),
        *draw_review(engine, cfg, dataset, partial(_truth, results), folder),
        *draw_words(results, folder),
        *draw_presence(engine, cfg, folder),
        *draw_controls(engine, dataset, results.texts, 2 * cfg.report_cases, folder),
    ]


def choose_cases(scores: Mapping[str, float], count_each: int = 3) -> list[tuple[str, str]]:
    """Choose the best, the median and the worst images; the same images whatever their order.

    Few images are shared out evenly, so that none is shown twice.

    Args:
        scores: one score by sample id, higher is better; not finite where there is no ground truth.
        count_each: how many of each kind, >= 0.

    Returns:
        (label, sample id), label "best", "median" or "worst", the extreme cases of a kind first; or, without
        any score, the first 3 x `count_each` ids as "example".
    """
    ranked = sorted((name for name in scores if math.isfinite(scores[name])), key=lambda n: (-scores[n], n))
    if not ranked:
        return [("example", name) for name in sorted(scores)[: 3 * count_each]]
    best, worst, median = (min(count_each, (len(ranked) + extra) // 3) for extra in (2, 1, 0))
    middle = ranked[best : len(ranked) - worst]
    first = (len(middle) - median) // 2
    return [
        *(("best", name) for name in ranked[:best]),
        *(("median", name) for name in middle[first : first + median]),
        *(("worst", name) for name in ranked[::-1][:worst]),
    ]


def draw_cases(results: RunResults, folder: Path) -> list[Picture]:
    """Overlays of the best, median and worst cases."""
    short = _final_short(results.engine)
    scores = {row["id"]: row.get("dsc", float("nan")) for row in results.rows if row["stage"] == short}
    pictures = []
    for number, (label, sample_id) in enumerate(choose_cases(scores, results.cfg.report_cases)):
        path = folder / f"{number:02d}_{label}_{sample_id}.png"
        save_png(overlay_figure(_image_result(results, sample_id, short)), path)
        pictures.append((f"{label}: {sample_id}", path))
    return pictures


def draw_distribution(results: RunResults, folder: Path) -> list[Picture]:
    """The distribution of scores over images."""
    if "evaluate" not in results.engine.artifacts:
        return []
    save_png(distribution_figure(results.rows), folder / "distribution.png")
    return [("distribution", folder / "distribution.png")]


def draw_words(results: RunResults, folder: Path) -> list[Picture]:
    """The words of the first text of the best, median and worst cases, coloured by relevance on one scale."""
    found = results.engine.artifacts.get("text_saliency")
    if found is None:
        return []
    scores = dict.fromkeys(results.engine.sample_ids, float("nan"))
    short = _final_short(results.engine)
    scores |= {row["id"]: row["dsc"] for row in results.rows if row["stage"] == short and "dsc" in row}
    cases = choose_cases(scores, results.cfg.report_cases)
    texts = {sample_id: found.info(sample_id)["texts"][0] for _, sample_id in cases}
    largest = max((nats for text in texts.values() for nats in text["relevance"]), default=0.0)
    pictures = []
    for number, (label, sample_id) in enumerate(cases):
        path = folder / f"words_{number:02d}_{label}_{sample_id}.png"
        text = texts[sample_id]
        save_png(words_figure(sample_id, text["words"], text["relevance"], largest or 1.0), path)
        pictures.append((f"words that the image asks for: {label}, {sample_id}", path))
    return pictures


def draw_browser(results: RunResults, budget: int) -> Drawings:
    """Every image with what was found in it, for the report's image browser, the worst masks first.

    Args:
        results: of the run.
        budget: characters of all drawings together.
    """
    short, engine = _final_short(results.engine), results.engine
    dsc = {row["id"]: row.get("dsc", math.inf) for row in results.rows if row["stage"] == short}
    ids = sorted(engine.sample_ids, key=lambda name: (dsc.get(name, math.inf), name))
    stored = {
        stage: {found.key: found}
        for stage in drawn_stages()
        if (found := engine.artifacts.get(stage)) is not None
    }

    def read(sample_id: str) -> tuple[RGBImage, Mask | None]:
        return results.dataset.read_image(sample_id), _truth(results, sample_id)

    drawings = draw(ids, read, stored, budget)
    drawings.remarks = [
        f"{said}, those with the worst masks; all masks are in the run's folder" for said in drawings.remarks
    ]
    return drawings


def image_and_masks(results: RunResults, sample_id: str) -> tuple[RGBImage, dict[str, Mask]]:
    """An image with its masks, original frame: "prediction", "coarse" where it is another, "ground truth" if scored."""
    stages, final, masks = results.engine.artifacts, final_stage(results.engine), {}
    if final:
        masks["prediction"] = stages[final].mask(sample_id)
    if "coarse_mask" in stages and final != "coarse_mask":
        masks["coarse"] = stages["coarse_mask"].mask(sample_id)
    if "evaluate" in stages:
        masks["ground truth"] = results.dataset.read_ground_truth(sample_id)
    return results.dataset.read_image(sample_id), masks


def _final_short(engine: Engine) -> str:
    """That stage's short name; "" when there is none."""
    final = final_stage(engine)
    return mask_stages()[final] if final else ""


def _image_result(results: RunResults, sample_id: str, short: str) -> ImageResult:
    stages, dataset = results.engine.artifacts, results.dataset
    sam = stages.get("sam_mask")
    return ImageResult(
        sample_id=sample_id,
        text=" | ".join(results.texts[sample_id]),
        image=dataset.read_image(sample_id),
        saliency_map=stages["saliency"].saliency_map(sample_id) if "saliency" in stages else None,
        coarse_mask=stages["coarse_mask"].mask(sample_id) if "coarse_mask" in stages else None,
        prompts=from_record(sam.info(sample_id)["prompts"]) if sam else None,
        mask=sam.mask(sample_id) if sam else None,
        nnunet_masks={
            name: stages[stage].mask(sample_id)
            for stage, name in mask_stages().items()
            if stage in stages and STAGES[stage].supervision != "none"
        },
        ground_truth=_truth(results, sample_id),
        scores=results.engine.scores(sample_id).get(short, {}),
        scored=short,
    )


def _truth(results: RunResults, sample_id: str) -> Mask | None:
    """The true mask, where the run reads any."""
    if "evaluate" not in results.engine.artifacts:
        return None
    return results.dataset.read_ground_truth(sample_id)
