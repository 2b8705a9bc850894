"""What every fusion promises, over all YAMLs of conf/fusion."""

import pytest
import torch
from torch import Tensor

from medsam_exp.config.build import build
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "fusion").glob("*.yaml"))
SIZES = [(1, 1), (1, 40), (40, 1), (3, 2), (37, 53), (150, 200)]


@pytest.fixture(scope="module", params=CHOICES)
def fusion(request: pytest.FixtureRequest):
    return build(composed(f"fusion={request.param}").fusion)


def given(fusion, size: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (M, H, W) and predicted IoU (M,), as many as the fusion wants."""
    generator = torch.Generator().manual_seed(seed)
    count = 3 if fusion.multimask else 1
    return torch.randn((count, *size), generator=generator), torch.rand(count, generator=generator)


@pytest.mark.parametrize("size", SIZES)
def test_one_mask_of_the_images_size_comes_out(fusion, size: tuple[int, int]) -> None:
    logits, iou = given(fusion, size)
    before = logits.clone(), iou.clone()
    mask, kept = fusion(logits, iou)
    assert mask.shape == size
    assert mask.dtype == torch.bool
    assert isinstance(kept, float)
    assert float(iou.min()) - 1e-6 <= kept <= float(iou.max()) + 1e-6
    assert torch.equal(logits, before[0])
    assert torch.equal(iou, before[1])


def test_the_same_input_gives_the_same_mask(fusion) -> None:
    logits, iou = given(fusion, (37, 53))
    first, second = fusion(logits, iou), fusion(logits, iou)
    assert torch.equal(first[0], second[0])
    assert first[1] == second[1]


@pytest.mark.parametrize("kind", ["empty", "full", "one pixel", "random"])
@pytest.mark.parametrize("size", [(1, 9), (30, 20)])
def test_proposals_that_agree_are_kept(fusion, kind: str, size: tuple[int, int]) -> None:
    logits, iou = given(fusion, size)
    one = torch.full(size, 5.0 if kind == "full" else -5.0)
    if kind == "one pixel":
        one[0, 4] = 5
    elif kind == "random":
        one = 5 * torch.randn(size, generator=torch.Generator().manual_seed(1))
    mask, _ = fusion(one.expand_as(logits), iou)
    assert torch.equal(mask, one > 0)


@pytest.mark.parametrize("values", [(-5, -5, 5), (5, 5, -5), (-5, 5, 5)])
def test_empty_beside_full_proposals_still_give_a_mask(fusion, values: tuple[float, ...]) -> None:
    logits, iou = given(fusion, (8, 9))
    logits = torch.tensor(values)[: len(logits), None, None].expand_as(logits).float()
    mask, kept = fusion(logits, iou)
    assert mask.shape == (8, 9)
    assert len(mask.unique()) == 1
    assert kept == kept  # no NaN


def test_far_logits_and_useless_predictions_are_borne(fusion) -> None:
    logits, iou = given(fusion, (8, 9))
    for scale in (1e4, 1e-30):
        mask, _ = fusion(logits * scale, iou)
        assert mask.shape == (8, 9)
    for worthless in (torch.zeros_like(iou), -iou):
        _, kept = fusion(logits, worthless)
        assert kept == kept
