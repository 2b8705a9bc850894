"""Checks of what works on masks: post-processing, component filters, mask filters, the veto, presence scores."""

from typing import Any

import numpy as np

from medsam_exp.masks.components import label_components
from medsam_exp.masks.presence.features import FEATURES
from medsam_exp.metrics.overlap import dice
from medsam_exp.testing.arrays import SHAPES, example_images, example_maps, example_masks, read_only
from medsam_exp.testing.expectation import about, contract, expect
from medsam_exp.types import ComponentFilter, Mask, PostProcessor, SaliencyMap, Veto

_MAPS = {"zero", "one", "blob", "noise"}
_SCORES = (0.0, 1e-9, 0.2, 0.5, 0.8, 1.0)


@contract
def check_postprocess(postprocess: PostProcessor | Any, /) -> None:
    """Check a post-processor: any map and image of any shape give a mask of that shape, the same each time."""
    for shape in SHAPES.values():
        maps, images = example_maps(shape), example_images(shape)
        pairs = [(map_name, image_name) for map_name in maps for image_name in images]
        masks: dict[tuple[str, str], Mask] = {}
        for map_name, image_name in (*pairs, *reversed(pairs)):
            saliency_map, image = maps[map_name], images[image_name]
            before = saliency_map.tobytes(), image.tobytes()
            with about(f"map {map_name!r}, image {image_name!r}, {shape}"):
                mask = postprocess(saliency_map, image)
                _expect_mask(mask, shape)
                expect(not mask.any() or map_name != "zero", "an all-zero map has no foreground")
                expect((saliency_map.tobytes(), image.tobytes()) == before, "the inputs were changed")
                first = masks.setdefault((map_name, image_name), mask)
                expect(np.array_equal(mask, first), "another mask the second time")
    y, x = np.mgrid[:60, :80]
    inside = np.hypot(y - 25, x - 50) < 12
    image = np.where(inside[..., None], 180, 60).repeat(3, -1).astype(np.uint8)
    overlap = dice(postprocess(np.where(inside, 0.9, 0.1).astype(np.float32), image), inside)
    expect(overlap > 0.9, f"a clear disk in map and image is found with a Dice of {overlap:.2f} only")


@contract
def check_component_filter(component_filter: ComponentFilter | Any, /) -> None:
    """Check a component filter: it keeps or drops whole connected components and adds no pixel."""
    for shape in SHAPES.values():
        maps = example_maps(shape)
        for mask_name, mask in _masks_and_noise(shape).items():
            labels, count = label_components(mask)
            areas = np.bincount(labels.ravel(), minlength=count + 1)
            for map_name in _MAPS & maps.keys():
                with about(f"mask {mask_name!r}, map {map_name!r}, {shape}"):
                    kept = _kept(component_filter, mask, maps[map_name])
                    left = np.bincount(labels.ravel(), weights=kept.ravel(), minlength=count + 1)
                    whole = np.isin(left / np.maximum(areas, 1), [0, 1]).all()
                    expect(whole, "a connected component was cut; keep it as a whole or drop it")
    mask = example_masks(SHAPES["not square"])["a pixel"]
    alone = component_filter(mask, np.ones(mask.shape, np.float32))
    expect(np.array_equal(alone, mask), "a single, fully salient component is dropped")


@contract
def check_mask_filter(mask_filter: ComponentFilter | Any, /) -> None:
    """Check a filter of SAM's mask: it only removes pixels, and keeps a single component."""
    for shape in SHAPES.values():
        saliency_map = example_maps(shape)["blob"]
        for mask_name, mask in _masks_and_noise(shape).items():
            with about(f"mask {mask_name!r}, {shape}"):
                _kept(mask_filter, mask, saliency_map)
    for region in (np.s_[2:5, 3:9], np.s_[8:9, 0:1]):
        mask = np.zeros((9, 12), bool)
        mask[region] = True
        kept = mask_filter(mask, np.ones((9, 12), np.float32))
        expect(np.array_equal(kept, mask), f"a single component of {mask.sum()} pixels is not kept")


@contract
def check_veto(veto: Veto | Any, /) -> None:
    """Check a veto: plain booleans, the same each time, and none for a higher score where a lower one has none."""
    answers = [veto(score) for score in _SCORES]
    expect(all(isinstance(answer, bool) for answer in answers), "answers must be True or False")
    expect(answers == [veto(score) for score in _SCORES], "the second time gives other answers")
    falling = answers == sorted(answers, reverse=True)
    expect(falling, f"of presence scores {_SCORES} a higher one is vetoed where a lower one is not")
    expect(not veto(1.0), "a certain target (presence 1) must never be vetoed")


@contract
def check_presence(scorer: Any, /) -> None:
    """Check a presence score: in [0, 1] for any features, rising with the match, with texts to contrast with."""
    nothing, full = dict.fromkeys(FEATURES, 0.0), dict.fromkeys(FEATURES, 1.0)
    extremes = (
        {**nothing, "match": -1.0, "over_absence": -2.0},
        {**full, "relevance_total": 1e9, "match": 1.0},
    )
    for features in (nothing, full, *extremes):
        score = scorer(features)
        in_range = isinstance(score, float) and 0 <= score <= 1
        expect(in_range, f"the score of {features} is {score!r}; it must be a float in [0, 1]")
        reordered = scorer(dict(reversed(features.items())))
        expect(reordered == score, "the score depends on the order of the features")
    rising = [
        scorer({**nothing, "match": m, "over_absence": m, "over_nonsense": m, "share": (m + 1) / 2})
        for m in np.linspace(-1, 1, 21)
    ]
    expect(rising == sorted(rising), "a better match of image and text lowers the score")
    expect(rising[0] < rising[-1], "the best match scores no higher than the worst")
    for attribute in ("absence_texts", "nonsense_texts"):
        texts = getattr(scorer, attribute, None)
        given = isinstance(texts, tuple) and texts
        expect(given, f"{attribute} must be a tuple with at least one text to contrast with")


def _kept(keep: ComponentFilter, mask: Mask, saliency_map: SaliencyMap) -> Mask:
    """What a filter keeps: part of the mask, the same each time, and all of it if it is filtered again."""
    kept = keep(mask, saliency_map)
    _expect_mask(kept, mask.shape)
    expect(not (kept & ~mask).any(), "pixels outside the mask were added")
    expect(np.array_equal(keep(mask, saliency_map), kept), "the second time gives another mask")
    expect(np.array_equal(keep(kept, saliency_map), kept), "filtering what was kept changes it again")
    return kept


def _masks_and_noise(shape: tuple[int, int]) -> dict[str, Mask]:
    """Masks with many connected components among them, also of large images."""
    return {**example_masks(shape), "noise": read_only(np.random.default_rng(0).random(shape) < 0.2)}


def _expect_mask(mask: Mask, shape: tuple[int, ...]) -> None:
    expect(mask.dtype == np.bool_, f"the mask is {mask.dtype}, but it must be bool")
    expect(mask.shape == shape, f"the mask has (H, W) {mask.shape}, but it must have the image's")
