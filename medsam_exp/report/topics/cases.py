"""Single images: the best, median and worst cases, the words of their texts, and all images for the browser."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from medsam_exp.report.kept import Kept
from medsam_exp.report.pictures import Picture
from medsam_exp.report.results import RunResults
from medsam_exp.report.web.drawings import Drawing, Stored, draw_image, drawn_stages, thumbnail_side
from medsam_exp.runtime import distributed
from medsam_exp.runtime.digests import text_digest
from medsam_exp.runtime.json_text import json_text
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.pipeline import STAGES, mask_stages
from medsam_exp.stages.records import prompts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _choose_cases(scores: Mapping[str, float], count_each: int = 3) -> list[tuple[str, str]]:
    """("best", "median" or "worst", sample id), extreme cases of a kind first, whatever the order of the images.

    A mask that misses its target, by a score of 0, is no best case but one of the worst. Few images are shared out
    evenly, so that none is shown twice. Without any finite score the first 3 x `count_each` ids are "example"s.
    """
    ranked = sorted((name for name in scores if math.isfinite(scores[name])), key=lambda n: (-scores[n], n))
    if not ranked:
        return [("example", name) for name in sorted(scores)[: 3 * count_each]]
    best, worst, median = (min(count_each, (len(ranked) + extra) // 3) for extra in (2, 1, 0))
    middle = ranked[best : len(ranked) - worst]
    first = (len(middle) - median) // 2
    return [
        *(("best" if scores[name] > 0 else "worst", name) for name in ranked[:best]),
        *(("median", name) for name in middle[first : first + median]),
        *(("worst", name) for name in ranked[::-1][:worst]),
    ]


def draw_cases(results: RunResults) -> Iterator[Picture]:
    """Overlays of the best, median and worst cases."""
    for number, (label, sample_id) in enumerate(_chosen(results) if results.final_label else []):
        name = f"{number:02d}_{label}_{sample_id}"
        shows = results.decided_by(sample_id)
        yield Picture(f"{label}: {sample_id}", name, shows, partial(_overlay, results, sample_id))


def draw_distribution(results: RunResults) -> Iterator[Picture]:
    """The distribution of scores over images."""
    if "evaluate" in results.engine.artifacts:
        shows = results.decided_by_all()
        yield Picture("distribution", "distribution", shows, partial(_distribution, results))


def draw_words(results: RunResults) -> Iterator[Picture]:
    """The words of the first text of the best, median and worst cases, coloured by relevance on one scale."""
    if (found := results.engine.artifacts.get("text_saliency")) is None:
        return
    cases = _chosen(results)
    texts = [found.info(sample_id)["texts"][0] for _, sample_id in cases]
    largest = max((nats for text in texts for nats in text["relevance"]), default=0.0) or 1.0
    for number, ((label, sample_id), text) in enumerate(zip(cases, texts, strict=True)):
        yield Picture(
            f"words that the image asks for: {label}, {sample_id}",
            f"words_{number:02d}_{label}_{sample_id}",
            (results.decided_by(sample_id), largest),
            partial(_words, sample_id, text, largest),
        )


def shown_in_browser(results: RunResults) -> list[str]:
    """The ids of the images in the report's image browser, the worst masks first."""
    dsc, most = _final_dsc(results), results.cfg.report_images
    return sorted(results.engine.sample_ids, key=lambda name: (dsc.get(name, math.inf), name))[:most]


def draw_browser(results: RunResults) -> Iterator[tuple[str, Drawing]]:
    """The browser's images with what was found in them, in their order."""
    kept, make = _drawings(results, ids := shown_in_browser(results))
    if distributed.world_size() > 1:
        kept.make_together(make)
    with kept:
        for name in ids:
            yield name, cast("Drawing", kept.part(name, partial(make, name)))


def help_to_draw(results: RunResults, sample_ids: Sequence[str]) -> None:
    """Make drawings of the browser for the process that writes the report.

    Args:
        results: without rows and summary.
        sample_ids: the process's `shown_in_browser`.
    """
    kept, make = _drawings(results, sample_ids)
    kept.make_together(make)


def _drawings(
    results: RunResults, sample_ids: Sequence[str]
) -> tuple[Kept, Callable[[str], Mapping[str, Any]]]:
    """Where the drawings of some images are kept, and what makes one."""
    stored = {
        stage: {found.key: found}
        for stage in drawn_stages()
        if (found := results.engine.artifacts.get(stage)) is not None
    }
    side = thumbnail_side(len(sample_ids))
    keys = {stage: key for stage, own in stored.items() for key in own}
    shows = {name: text_digest(json_text(results.decided_by(name))) for name in sample_ids}
    kept = Kept(Path(results.cfg.paths.artifacts), "drawings", keys, shows, {"side": side})
    return kept, lambda name: cast("Mapping[str, Any]", _drawing(results, name, stored, side))


def _drawing(results: RunResults, sample_id: str, stored: Stored, side: int) -> Drawing:
    image, truth = results.image(sample_id), results.ground_truth(sample_id)
    return draw_image(sample_id, image, truth, stored, side)


def _chosen(results: RunResults) -> list[tuple[str, str]]:
    unscored = dict.fromkeys(results.engine.sample_ids, math.nan)
    return _choose_cases(unscored | _final_dsc(results), results.cfg.report_cases)


def _final_dsc(results: RunResults) -> dict[str, float]:
    """DSC of the last masks by sample id; of images that have one."""
    final, scores = results.final_label, results.engine.scores
    return {name: own["dsc"] for name, of in scores.items() if "dsc" in (own := of.get(final, {}))}


def _distribution(results: RunResults) -> Image.Image:
    from medsam_exp.report.figures.distribution import distribution_picture

    return distribution_picture(results.rows)


def _words(sample_id: str, text: Mapping[str, Any], largest: float) -> "Figure":
    from medsam_exp.report.figures.words import words_figure

    return words_figure(sample_id, text["words"], text["relevance"], largest)


def _overlay(results: RunResults, sample_id: str) -> Image.Image:
    from medsam_exp.report.figures.overlay import ImageResult, overlay_picture

    stages = results.engine.artifacts
    sam = stages.get("sam_mask")
    result = ImageResult(
        sample_id=sample_id,
        text=" | ".join(results.texts[sample_id]),
        image=results.image(sample_id),
        saliency_map=read_map(stages["saliency"], sample_id) if "saliency" in stages else None,
        coarse_mask=stages["coarse_mask"].mask(sample_id) if "coarse_mask" in stages else None,
        prompts=prompts_of(sam.info(sample_id)["prompts"]) if sam else None,
        mask=sam.mask(sample_id) if sam else None,
        nnunet_masks={
            name: stages[stage].mask(sample_id)
            for stage, name in mask_stages().items()
            if stage in stages and STAGES[stage].supervision != "none"
        },
        ground_truth=results.ground_truth(sample_id),
        scores=results.engine.scores[sample_id].get(results.final_label, {}),
        scored=results.final_label,
    )
    return overlay_picture(result)
