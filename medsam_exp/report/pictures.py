"""The pictures of a run: one function a kind; each draws from stored artifacts and says where its files are."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medsam_exp.engine.engine import Engine
from medsam_exp.report.cases import Case, choose_cases
from medsam_exp.report.figures import distribution_figure, overlay_figure, save_png
from medsam_exp.report.grounding_results import draw_controls, draw_presence
from medsam_exp.report.mask_files import final_stage
from medsam_exp.report.tuning import tuning_figure
from medsam_exp.report.weak_pictures import draw_doubt, draw_review
from medsam_exp.report.web.drawings import Drawings, draw, drawn_stages
from medsam_exp.report.words import words_figure
from medsam_exp.stages.pipeline import STAGES, mask_stages
from medsam_exp.stages.sam_mask import from_record
from medsam_exp.types import Dataset, Mask, RGBImage

Picture = tuple[str, Path]
"""Caption, "group" or "group: what is shown", and file."""


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
    return [picture for draw in PICTURES for picture in draw(results, folder)]


def draw_cases(results: RunResults, folder: Path) -> list[Picture]:
    """Overlays of the best, median and worst cases."""
    short = _final_short(results.engine)
    scores = {row["id"]: row.get("dsc", float("nan")) for row in results.rows if row["stage"] == short}
    pictures = []
    for number, (label, sample_id) in enumerate(choose_cases(scores, results.cfg.report_cases)):
        path = folder / f"{number:02d}_{label}_{sample_id}.png"
        save_png(overlay_figure(_case(results, sample_id, short)), path)
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


def draw_tuning(tuning: Mapping[str, Any], folder: Path) -> list[Picture]:
    """The trials of a search, which has no images of its own to show."""
    folder.mkdir(exist_ok=True)
    save_png(tuning_figure(tuning), folder / "tuning.png")
    return [("tuning: score of every trial over each number that was varied", folder / "tuning.png")]


def draw_grounding(results: RunResults, folder: Path) -> list[Picture]:
    """Each of the first few images' map under its own and the control texts."""
    return draw_controls(results.engine, results.dataset, results.texts, 2 * results.cfg.report_cases, folder)


def draw_presence_score(results: RunResults, folder: Path) -> list[Picture]:
    """How well the presence score tells images with the target from those without."""
    return draw_presence(results.engine, results.cfg, folder)


def draw_uncertainty(results: RunResults, folder: Path) -> list[Picture]:
    """Of what use an ensemble's doubt is, over all images."""
    return draw_doubt(results.engine, results.cfg, folder)


def draw_review_list(results: RunResults, folder: Path) -> list[Picture]:
    """The images that a human should look at first."""
    truth = partial(_truth, results)
    return draw_review(results.engine, results.cfg, results.dataset, truth, folder)


PICTURES: tuple[Callable[[RunResults, Path], list[Picture]], ...] = (
    draw_cases,
    draw_distribution,
    draw_uncertainty,
    draw_review_list,
    draw_words,
    draw_presence_score,
    draw_grounding,
)


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


def _case(results: RunResults, sample_id: str, short: str) -> Case:
    stages, dataset = results.engine.artifacts, results.dataset
    sam = stages.get("sam_mask")
    return Case(
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
