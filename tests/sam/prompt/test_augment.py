"""SAMAug's points, each against a search over all pixels; and SAM asked twice by Meta's predictor."""

import math
import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from medsam_exp.config.build import build
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.prompt.on_image import prompter_of
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.training.sam_inference import answer_prompts
from medsam_exp.types import Prompts
from tests.compose import composed

SIZE = (40, 60)
IMAGE = np.random.default_rng(3).integers(0, 40, (*SIZE, 3), np.uint8)
IMAGE[10:25, 20:50] = IMAGE[10:25, 20:50] // 8 * 5
SALIENCY = np.random.default_rng(4).random(SIZE, np.float32)


def disk(y: int, x: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def prompts_of(choice: str, *options: str) -> Prompts:
    """Of two regions."""
    prompter = prompter_of(
        build(composed(f"prompt=augment_{choice}", *options).prompt), lambda: SALIENCY, lambda: IMAGE
    )
    return prompter(disk(12, 20, 5) | disk(30, 45, 6), np.random.default_rng(0))


def surroundings(x: int, y: int) -> float:
    """Entropy in bits of the gray values around a pixel."""
    counts: Counter[int] = Counter()
    for row in range(max(0, y - 4), min(SIZE[0], y + 5)):
        for column in range(max(0, x - 4), min(SIZE[1], x + 5)):
            red, green, blue = map(int, IMAGE[row, column])
            counts[round(0.299 * red + 0.587 * green + 0.114 * blue)] += 1
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values())


SCORES = {
    "distance": lambda x, y, first: math.dist((x, y), first),
    "saliency": lambda x, y, first: float(SALIENCY[y, x]),
    "entropy": lambda x, y, first: abs(surroundings(x, y) - surroundings(*map(int, first))),
}


@pytest.mark.parametrize("choice", SCORES)
@pytest.mark.parametrize("inner", [[], ["prompt@prompt.inner=box"]])
def test_the_point_is_the_best_of_all_pixels(choice: str, inner: list[str]) -> None:
    prompts, mask = prompts_of(choice, *inner), disk(18, 30, 9)
    for place in range(2):
        if prompts.point_coords is not None:
            first = prompts.point_coords[place, 0].tolist()
        else:
            x0, y0, x1, y1 = prompts.boxes_xyxy[place].tolist()
            first = [(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2]
        ((x, y),) = prompts.further_points(place, mask).astype(int).tolist()
        assert mask[y, x]
        best = max(SCORES[choice](c, r, first) for r, c in np.argwhere(mask).tolist())
        assert SCORES[choice](x, y, first) == pytest.approx(best, abs=1e-5)


def test_random_points_are_any_pixel_and_equal_each_time() -> None:
    mask, drawn = disk(18, 30, 2), set()
    for seed in range(200):
        prompts = prompts_of("random")
        point = replace(prompts.further_points, seed=seed)
        ((x, y),) = point(1, mask).astype(int).tolist()
        assert np.array_equal(pickle.loads(pickle.dumps(point))(1, mask), [[x, y]])
        drawn.add((y, x))
    assert drawn == set(map(tuple, np.argwhere(mask).tolist()))


@pytest.mark.parametrize("choice", ["random", *SCORES])
def test_an_empty_first_mask_gives_the_first_point_again(choice: str) -> None:
    prompts = prompts_of(choice)
    assert prompts.further_points(1, np.zeros(SIZE, bool)).tolist() == prompts.point_coords[1, :1].tolist()


def test_sam_is_asked_twice_as_by_its_own_predictor(pair) -> None:
    predictor = pair.predictor
    predictor.set_image(IMAGE)
    prompts = prompts_of("distance")
    found = list(pair.ours.decode(predictor.features[0], prompts, SIZE))
    for place, (logits, iou) in enumerate(found):
        coords, labels = prompts.point_coords[place], prompts.point_labels[place]
        (mask,), _, _ = predictor.predict(coords, labels, multimask_output=False)
        coords = np.concatenate([coords, prompts.further_points(place, mask)])
        expected, expected_iou, _ = predictor.predict(
            coords, np.append(labels, 1), multimask_output=False, return_logits=True
        )
        np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=1e-4)
        np.testing.assert_allclose(iou.numpy(), expected_iou, rtol=0, atol=1e-5)


@pytest.mark.parametrize("inner", [[], ["prompt@prompt.inner=box"]])
def test_an_answer_says_the_points_that_it_was_asked_with_at_last(pair, inner: list[str]) -> None:
    sam, prompts = pair.ours, prompts_of("distance", *inner)
    with torch.no_grad():
        embedding = sam.encode(sam.preprocess(IMAGE)[None])[0]
    found = answer_prompts(sam, SingleMask(), embedding, prompts, SIZE)
    assert found.prompts.further_points is None
    assert found.prompts.point_coords.shape == (2, 1 if inner else 2, 2)
    first = 0 if inner else 1
    for place, mask in enumerate(first_masks(sam, embedding, prompts)):
        expected = prompts.further_points(place, mask)
        np.testing.assert_array_equal(found.prompts.point_coords[place, first:], expected)
    again = answer_prompts(sam, SingleMask(), embedding, found.prompts, SIZE)
    assert np.array_equal(again.mask, found.mask)
    assert again.iou_predictions == found.iou_predictions


def first_masks(sam: PromptableModel, embedding: torch.Tensor, prompts: Prompts) -> list[np.ndarray]:
    """SAM's first answer to each prompt."""
    asked_once = replace(prompts, further_points=None)
    return [logits[0].numpy() > 0 for logits, _ in sam.decode(embedding, asked_once, SIZE)]
