"""Every choice of conf/prompt turns every kind of mask into prompts that SAM can take, the same each time."""

import numpy as np
import pytest
import torch

from medsam_exp.config.build import build
from medsam_exp.masks.components import label_components
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from medsam_exp.stages.sam_mask import as_record, from_record
from medsam_exp.types import Mask, Prompter, Prompts
from tests.compose import CONF, composed
from tests.contracts.shapes import SHAPES

CHOICES = sorted(path.stem for path in (CONF / "prompt").glob("*.yaml"))
WITH_NEGATIVES = {
    choice: [f"prompt.{key}=4"]
    for choice in CHOICES
    for key in ("negative_count", "points.negative_count")
    if f"{key.split('.')[0]}:" in (CONF / "prompt" / f"{choice}.yaml").read_text()
    or (key.startswith("points.") and "@points" in (CONF / "prompt" / f"{choice}.yaml").read_text())
}

GIVEN = {"given": ["prompt.prompts=[{box: [0, 0, 2, 1]}]"]}  # what a choice cannot do without


@pytest.fixture(params=CHOICES)
def choice(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def prompters(choice: str) -> list[Prompter]:
    """As configured, and with background points where the choice has such an option."""
    variants = [[], *([WITH_NEGATIVES[choice]] if choice in WITH_NEGATIVES else [])]
    given = GIVEN.get(choice, [])
    return [build(composed(f"prompt={choice}", *given, *options).prompt) for options in variants]


@pytest.fixture(scope="module")
def sam() -> SamModel:
    return load_sam("tiny")


def masks(shape: tuple[int, int]) -> dict[str, Mask]:
    height, width = shape
    one, hole, line = np.zeros(shape, bool), np.ones(shape, bool), np.zeros(shape, bool)
    one[height // 2, width // 3] = True
    hole[height // 2, width // 2] = False
    line[:, width // 2] = True
    y, x = np.mgrid[:height, :width]
    disk = np.hypot((y - 0.3 * height) / height, (x - 0.3 * width) / width) < 0.2
    named = {
        "empty": np.zeros(shape, bool),
        "full": np.ones(shape, bool),
        "a pixel": one,
        "all but a pixel": hole,
        "a line": line,
        "a disk and a pixel": disk | ((y == height - 1) & (x == width - 1)),
        "noise": (np.random.default_rng(0).random(shape) < 0.1) & (y < 40) & (x < 40),
    }
    for mask in named.values():
        mask.flags.writeable = False
    few = ("empty", "full", "a disk and a pixel")
    return named if height * width < 1e5 else {name: named[name] for name in few}


def prompt(prompter: Prompter, mask: Mask, seed: int = 0) -> Prompts:
    return prompter(mask, np.random.default_rng(seed))


def equal(one: Prompts, other: Prompts) -> bool:
    return as_record(one) == as_record(other)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_mask_becomes_prompts(prompters: list[Prompter], shape: tuple[int, int]) -> None:
    height, width = shape
    for prompter in prompters:
        for mask in masks(shape).values():
            prompts = prompt(prompter, mask)
            count = len(prompts)
            assert count or not mask.any()
            assert prompts.boxes_xyxy is not None or prompts.point_coords is not None
            assert (prompts.point_coords is None) == (prompts.point_labels is None)
            if prompts.boxes_xyxy is not None:
                assert prompts.boxes_xyxy.dtype == np.float32
                assert prompts.boxes_xyxy.shape == (count, 4)
                x0, y0, x1, y1 = prompts.boxes_xyxy.T
                assert ((x0 >= 0) & (x0 <= x1) & (x1 <= width)).all()
                assert ((y0 >= 0) & (y0 <= y1) & (y1 <= height)).all()
            if prompts.point_coords is not None:
                _check_points(prompts, mask)
            assert equal(prompt(prompter, mask), prompts)


def _check_points(prompts: Prompts, mask: Mask) -> None:
    """Points are pixels of the image, different ones; foreground in the mask, background outside."""
    assert prompts.point_coords is not None
    assert prompts.point_labels is not None
    assert prompts.point_coords.dtype == np.float32
    assert prompts.point_labels.dtype == np.int64
    assert prompts.point_coords.shape == (*prompts.point_labels.shape, 2)
    assert len(prompts.point_labels) == len(prompts)
    for coords, labels in zip(prompts.point_coords, prompts.point_labels, strict=True):
        assert set(labels.tolist()) <= {-1, 0, 1}
        given = coords[labels >= 0].astype(int)
        assert len(np.unique(given, axis=0)) == len(given)
        assert mask[tuple(given[labels[labels >= 0] == 1].T[::-1])].all()
        assert not mask[tuple(given[labels[labels >= 0] == 0].T[::-1])].any()
        assert (labels == 1).any()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_prompts_of_a_region_stay_with_it(
    choice: str, prompters: list[Prompter], shape: tuple[int, int]
) -> None:
    """Where there is a prompt for each region, its points lie in that region, and in its box when it has one."""
    if choice.endswith("_released"):
        pytest.skip("the released code gives every prompt the points of the whole mask")
    for prompter in prompters:
        for mask in masks(shape).values():
            prompts, (labels, regions) = prompt(prompter, mask), label_components(mask)
            if prompts.point_coords is None or prompts.point_labels is None:
                continue
            assert len(prompts) == regions
            for number in range(regions):
                x, y = prompts.point_coords[number][prompts.point_labels[number] == 1].astype(int).T
                assert len(set(labels[y, x].tolist())) == 1
                assert (labels[y, x] == number + 1).all()
                if prompts.boxes_xyxy is not None:
                    x0, y0, x1, y1 = prompts.boxes_xyxy[number]
                    assert ((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)).all()


def test_an_empty_mask_has_no_prompts_unless_the_mask_never_matters(prompters: list[Prompter]) -> None:
    for prompter in prompters:
        named = masks((47, 21))
        prompts = prompt(prompter, named["empty"])
        assert not len(prompts) or all(equal(prompt(prompter, mask), prompts) for mask in named.values())


def test_the_generator_is_the_only_randomness(prompters: list[Prompter]) -> None:
    for prompter in prompters:
        named = masks((47, 21))
        forward = {name: prompt(prompter, mask, 5) for name, mask in named.items()}
        np.random.seed(1)  # noqa: NPY002 (the global generator must not matter)
        for name, mask in reversed(named.items()):
            assert equal(prompt(prompter, mask, 5), forward[name])


def test_prompts_survive_their_record(prompters: list[Prompter]) -> None:
    for prompter in prompters:
        prompts = prompt(prompter, masks((47, 21))["a disk and a pixel"])
        again = from_record(as_record(prompts))
        assert equal(again, prompts)
        for name in ("boxes_xyxy", "point_coords", "point_labels"):
            assert getattr(again, name) is None or getattr(again, name).dtype == getattr(prompts, name).dtype


@pytest.mark.parametrize("shape", [(32, 32), (47, 21), (1, 9)])
def test_sam_takes_them(prompters: list[Prompter], sam: SamModel, shape: tuple[int, int]) -> None:
    embedding = torch.randn(128, 16, 16, generator=torch.Generator().manual_seed(0))
    for prompter in prompters:
        for mask in masks(shape).values():
            prompts = prompt(prompter, mask)
            answers = list(sam.decode(embedding, prompts, shape))
            assert len(answers) == len(prompts)
            for logits, iou in answers:
                assert logits.shape == (1, *shape)
                assert iou.shape == (1,)
                assert torch.isfinite(logits).all()
                assert torch.isfinite(iou).all()
