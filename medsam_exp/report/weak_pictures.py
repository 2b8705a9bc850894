"""Pictures of an ensemble's doubt: of what use it is over all images, and the images to look at first."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from omegaconf import DictConfig

from medsam_exp.engine.engine import Engine
from medsam_exp.nnunet.uncertainty.quality import ReliabilityBins
from medsam_exp.report.figures import save_png
from medsam_exp.report.thumbnail import thumbnail
from medsam_exp.report.uncertainty import (
    reliability_figure,
    risk_coverage_figure,
    uncertainty_panel,
    uncertainty_scatter,
)
from medsam_exp.report.uncertainty_tables import as_named, review_rows
from medsam_exp.report.weak_results import doubt_scores
from medsam_exp.types import Dataset, Mask

Picture = tuple[str, Path]


def draw_doubt(engine: Engine, cfg: DictConfig, folder: Path) -> list[Picture]:
    """Risk and coverage, calibration, and each image's deciding score beside its DSC."""
    if "uncertainty" not in engine.artifacts:
        return []
    record, review_by = engine.artifacts["uncertainty"].info("all"), cfg.review.by
    curves = {name: _curve(found["curve"]) for name, found in record["ranking"].items()}
    before, after = (
        ReliabilityBins.restore(cfg.uncertainty.bins, record[name]) if name in record else None
        for name in ("calibration", "calibrated")
    )
    assert before is not None
    scores, ids = doubt_scores(engine), list(record["dsc"])
    near = f"pixels within {record['near_px']:g} px of what is predicted"
    correlation = {
        name: as_named(review_by, record["ranking"][review_by][name]) for name in ("pearson", "spearman")
    }
    figures = {
        "risk_coverage": risk_coverage_figure(curves, _curve(record["oracle"])),
        "scatter": uncertainty_scatter(
            [scores[name][review_by] for name in ids],
            [record["dsc"][name] for name in ids],
            review_by,
            correlation,
        ),
        "reliability": reliability_figure(before, after, near),
    }
    pictures = []
    for name, figure in figures.items():
        path = folder / f"uncertainty_{name}.png"
        save_png(figure, path)
        pictures.append((f"uncertainty: {_CAPTIONS[name]}", path))
    return pictures


_CAPTIONS = {
    "risk_coverage": "How bad the kept masks are when the least sure images are given to a human, by each score.",
    "scatter": "Each point is an image: the score that orders the list to review, and the true DSC.",
    "reliability": "What the ensemble’s probabilities promise, and what occurs.",
}


def _curve(found: dict[str, list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(found["coverage"]), np.asarray(found["risk"])


def draw_review(
    engine: Engine,
    cfg: DictConfig,
    dataset: Dataset,
    truth: Callable[[str], Mask | None],
    folder: Path,
) -> list[Picture]:
    """A small picture of each image on the list to review, and large ones of the first.

    Args:
        engine: of the run.
        cfg: its configuration.
        dataset: its images.
        truth: gives an image's true mask where the run reads any, else None.
        folder: for the pictures.
    """
    rows = review_rows(doubt_scores(engine), cfg.review.by)[: cfg.review.images]
    pictures = []
    for row in rows:
        path = folder / f"thumbnail_{row['rank']:02d}_{row['id']}.png"
        mask = engine.artifacts["nnunet_ensemble"].mask(row["id"])
        thumbnail(dataset.read_image(row["id"]), mask, path)
        pictures.append((f"thumbnail: {row['id']}", path))
    for row in rows[: 2 * cfg.report_cases]:
        path = folder / f"review_{row['rank']:02d}_{row['id']}.png"
        save_png(_panel(engine, dataset, truth(row["id"]), row["id"]), path)
        pictures.append((f"review: {row['rank']}. {row['id']}", path))
    return pictures


def _panel(engine: Engine, dataset: Dataset, truth: Mask | None, sample_id: str) -> Figure:
    ensemble, single = engine.artifacts["nnunet_ensemble"], engine.artifacts.get("nnunet_single")
    return uncertainty_panel(
        sample_id,
        dataset.read_image(sample_id),
        truth,
        ensemble.mask(sample_id),
        single.mask(sample_id) if single else None,
        ensemble.maps(sample_id),
        ensemble.info(sample_id)["scores"]["uncertainty"],
        engine.scores(sample_id).get("weak", {}).get("dsc"),
    )
