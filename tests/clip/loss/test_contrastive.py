"""All contrastive losses against the equations written as loops, goldens, and finite differences."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.clip.loss.dcl import DCL
from medsam_exp.clip.loss.dhn_nce import DHNNCE
from medsam_exp.clip.loss.dhn_nce_released import DHNNCEReleased
from medsam_exp.clip.loss.hn_nce import HNNCE
from medsam_exp.clip.loss.infonce import InfoNCE
from medsam_exp.types import UserError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
LOSSES: dict[str, Callable[[float, float, float], Loss]] = {
    "infonce": lambda temperature, *_: InfoNCE(temperature),
    "dcl": lambda temperature, *_: DCL(temperature),
    "hn_nce": HNNCE,
    "dhn_nce": DHNNCE,
    "dhn_nce_released": DHNNCEReleased,
}
SOUND = [name for name in LOSSES if name != "dhn_nce_released"]


def pairs(batch: int, dimension: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, batch, dimension, generator=generator, dtype=torch.float64).unbind()
    return 3 * image, 0.5 * text


def cosines(image: torch.Tensor, text: torch.Tensor) -> list[list[float]]:
    return [[float(i @ t) / (float(i.norm()) * float(t.norm())) for t in text] for i in image]


def slow_term(name: str, scores: list[float], own: int, temperature: float, beta: float) -> float:
    """The paper's loss of one image (or text), with sums as they are printed."""
    others = [score for j, score in enumerate(scores) if j != own]
    hardness = [math.exp(beta * score / temperature) for score in others]
    weights = [len(others) * value / sum(hardness) for value in hardness]
    if name in ("infonce", "dcl"):
        weights = [1.0] * len(others)
    below = sum(w * math.exp(score / temperature) for w, score in zip(weights, others, strict=True))
    if name in ("infonce", "hn_nce"):
        below += math.exp(scores[own] / temperature)
    return -scores[own] / temperature + math.log(below)


def slow_released(scores: list[list[float]], temperature: float, beta: float) -> float:
    """The published code's steps for one direction: masking by products, no sum within the logarithm."""
    batch, total = len(scores), 0.0
    for i in range(batch):
        for j in range(batch):
            row = [scores[j][k] / temperature * (k != j) for k in range(batch)]
            normaliser = sum(math.exp(value) for value in row)  # broadcast along columns
            positive = math.exp(scores[i][j] / temperature * (i == j))
            negative = (batch - 1) * math.exp((1 + beta) * scores[i][j] / temperature * (i != j)) / normaliser
            total += -math.log(positive / negative)
    return total / batch**2


@pytest.mark.parametrize("batch", [2, 3, 9])
@pytest.mark.parametrize("temperature", [0.05, 0.6, 1.0])
@pytest.mark.parametrize("name", SOUND)
def test_equals_the_equations(name: str, batch: int, temperature: float) -> None:
    image, text = pairs(batch)
    scores = cosines(image, text)
    columns = [list(column) for column in zip(*scores, strict=True)]
    expected = sum(
        slow_term(name, scores[i], i, temperature, 0.3) + slow_term(name, columns[i], i, temperature, 0.7)
        for i in range(batch)
    )
    loss = LOSSES[name](temperature, 0.3, 0.7)
    assert loss(image, text).item() == pytest.approx(expected / batch, abs=1e-9)


@pytest.mark.parametrize("batch", [2, 5])
def test_the_released_loss_equals_its_own_steps(batch: int) -> None:
    image, text = pairs(batch)
    scores = cosines(image, text)
    columns = [list(column) for column in zip(*scores, strict=True)]
    expected = slow_released(scores, 0.2, 0.3) + slow_released(columns, 0.2, 0.7)
    assert DHNNCEReleased(0.2, 0.3, 0.7)(image, text).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("batch", [2, 5, 16])
@pytest.mark.parametrize("setting", ["0.6_0.15_0.15", "0.07_0.5_0.25", "1.0_0.0_0.0"])
@pytest.mark.parametrize("name", LOSSES)
def test_equals_golden(goldens: Path, name: str, batch: int, setting: str) -> None:
    with np.load(goldens / "losses.npz") as stored:
        image, text = (torch.from_numpy(stored[f"{kind}_{batch}"]) for kind in ("image", "text"))
        image.requires_grad_()
        value = LOSSES[name](*map(float, setting.split("_")))(image, text)
        if name == "dhn_nce_released":
            expected = stored[f"released_loss_{batch}_{setting}"]
            (gradient,) = torch.autograd.grad(value, image)
            np.testing.assert_allclose(gradient, stored[f"released_grad_image_{batch}_{setting}"], atol=1e-6)
        else:
            ways = ("image_to_text", "text_to_image")
            expected = sum(stored[f"{name}_{way}_{batch}_{setting}"].mean() for way in ways)
    assert value.item() == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("batch", [2, 5])
def test_gradients_match_finite_differences(name: str, batch: int) -> None:
    image, text = (tensor.requires_grad_() for tensor in pairs(batch))
    assert torch.autograd.gradcheck(LOSSES[name](0.2, 0.3, 0.7), (image, text))


@pytest.mark.parametrize("name", LOSSES)
def test_length_of_embeddings_and_order_of_pairs_do_not_matter(name: str) -> None:
    image, text = pairs(7)
    loss, order = LOSSES[name](0.1, 0.3, 0.7), torch.tensor([3, 1, 6, 0, 2, 5, 4])
    expected = loss(image, text).item()
    assert loss(image * torch.arange(1, 8)[:, None], text * 100).item() == pytest.approx(expected, abs=1e-12)
    assert loss(image[order], text[order]).item() == pytest.approx(expected, abs=1e-12)
    swapped = LOSSES[name](0.1, 0.7, 0.3)
    assert swapped(text, image).item() == pytest.approx(expected, abs=1e-12)
    assert abs(loss(image[order], text).item() - expected) > 0.01


@pytest.mark.parametrize(("hard", "plain"), [("hn_nce", "infonce"), ("dhn_nce", "dcl")])
def test_without_hardness_negatives_weigh_equally(hard: str, plain: str) -> None:
    image, text = pairs(6)
    left, right = LOSSES[hard](0.1, 0.0, 0.0)(image, text), LOSSES[plain](0.1, 0.0, 0.0)(image, text)
    assert left.item() == pytest.approx(right.item(), abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("temperature", [0.6, 0.01])
def test_full_precision_inside_autocast_at_any_temperature(name: str, temperature: float) -> None:
    image, text = (tensor.float() for tensor in pairs(16, 32))
    loss = LOSSES[name](temperature, 0.15, 0.5)
    expected = loss(image, text)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(image, text)
        half = loss(image.bfloat16(), text.bfloat16())
    assert inside.dtype == half.dtype == torch.float32
    assert torch.equal(inside, expected)
    assert torch.equal(half, loss(image.bfloat16().float(), text.bfloat16().float()))
    exact = loss(image.double(), text.double()).item()
    assert expected.item() == pytest.approx(exact, rel=1e-5, abs=1e-5)
    for opposite in (image, -image):
        left, right = image.clone().requires_grad_(), opposite.clone().requires_grad_()
        value = loss(left, right)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(left.grad).all()
        assert torch.isfinite(right.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_one_pair_or_unequal_batches_are_clear_errors(name: str) -> None:
    loss = LOSSES[name](0.6, 0.15, 0.15)
    with pytest.raises(UserError, match="at least two image-text pairs"):
        loss(torch.ones(1, 4), torch.ones(1, 4))
    with pytest.raises(UserError, match=r"\(3, 4\) for images and \(2, 4\) for texts"):
        loss(torch.ones(3, 4), torch.ones(2, 4))


@pytest.mark.parametrize("name", LOSSES)
def test_impossible_settings_are_clear_errors(name: str) -> None:
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(UserError, match="must be positive"):
            LOSSES[name](temperature, 0.1, 0.1)
    if name not in ("infonce", "dcl"):
        with pytest.raises(UserError, match="cannot be negative"):
            LOSSES[name](0.6, 0.1, -0.1)


@pytest.mark.parametrize(("name", "sign"), [("dhn_nce", 1), ("dhn_nce_released", -1)])
def test_the_paper_pushes_hard_negatives_hardest_and_the_released_code_pulls_them(
    name: str, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, away = 32, ~torch.eye(32, dtype=torch.bool)
    scores = torch.rand(batch, batch, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    scores = (scores + torch.eye(batch)).requires_grad_()
    monkeypatch.setattr("medsam_exp.clip.loss.contrastive.cosine_similarity", lambda image, _: image)
    (gradient,) = torch.autograd.grad(LOSSES[name](0.6, 0.15, 0.15)(scores, scores), scores)
    correlation = np.corrcoef(scores.detach()[away], gradient[away])[0, 1]
    hardest = scores.detach().masked_fill(~away, -1).argmax()
    assert sign * correlation > 0.8
    assert sign * gradient.flatten()[hardest] > 0, "positive: descent pushes it away"
