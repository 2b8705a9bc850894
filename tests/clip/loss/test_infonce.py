import math

import pytest
import torch

from medsam_exp.clip.loss.infonce import InfoNCE
from medsam_exp.clip.loss.infonce_learned import InfoNCELearned
from medsam_exp.types import UserError


def pairs(batch: int, dimension: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, batch, dimension, generator=generator, dtype=torch.float64).unbind()
    return 3 * image, 0.5 * text


def slow_infonce(image: torch.Tensor, text: torch.Tensor, temperature: float) -> float:
    """The equation, one pair at a time."""
    batch = len(image)

    def score(i: int, j: int) -> float:
        cosine = float(image[i] @ text[j]) / (float(image[i].norm()) * float(text[j].norm()))
        return cosine / temperature

    total = 0.0
    for i in range(batch):
        to_texts = sum(math.exp(score(i, j)) for j in range(batch))
        to_images = sum(math.exp(score(j, i)) for j in range(batch))
        total += -math.log(math.exp(score(i, i)) / to_texts) - math.log(math.exp(score(i, i)) / to_images)
    return total / batch


@pytest.mark.parametrize("batch", [2, 3, 9])
@pytest.mark.parametrize("temperature", [0.05, 0.6, 1.0])
def test_equals_the_equation(batch: int, temperature: float) -> None:
    image, text = pairs(batch)
    expected = slow_infonce(image, text, temperature)
    assert InfoNCE(temperature)(image, text).item() == pytest.approx(expected, abs=1e-9)
    learned = InfoNCELearned(temperature, temperature_floor=0.01).double()
    assert learned(image, text).item() == pytest.approx(expected, abs=1e-6)


def test_gradients_match_finite_differences() -> None:
    image, text = (tensor.requires_grad_() for tensor in pairs(5))
    assert torch.autograd.gradcheck(InfoNCE(0.07), (image, text))
    learned = InfoNCELearned(0.07, 0.01).double()

    def by_scale(scale: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(learned, {"logit_scale": scale}, (image.detach(), text.detach()))

    assert torch.autograd.gradcheck(by_scale, (learned.logit_scale,))


def test_length_of_embeddings_and_order_of_pairs_do_not_matter() -> None:
    image, text = pairs(7)
    loss, order = InfoNCE(0.1), torch.tensor([3, 1, 6, 0, 2, 5, 4])
    expected = loss(image, text).item()
    assert loss(image * torch.arange(1, 8)[:, None], text * 100).item() == pytest.approx(expected, abs=1e-12)
    assert loss(image[order], text[order]).item() == pytest.approx(expected, abs=1e-12)
    assert loss(text, image).item() == pytest.approx(expected, abs=1e-12)
    assert abs(loss(image[order], text).item() - expected) > 0.1


def test_embeddings_that_are_all_alike_score_chance() -> None:
    same = torch.ones(6, 4)
    assert InfoNCE(0.6)(same, same).item() == pytest.approx(2 * math.log(6), abs=1e-6)


def test_full_precision_inside_autocast() -> None:
    image, text = (tensor.float() for tensor in pairs(16, 32))
    loss = InfoNCE(0.01)
    expected = loss(image, text)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(image, text)
        half = loss(image.bfloat16(), text.bfloat16())
    assert inside.dtype == half.dtype == torch.float32
    assert torch.equal(inside, expected)
    assert torch.equal(half, loss(image.bfloat16().float(), text.bfloat16().float()))
    assert torch.isfinite(loss(image, -image))


@pytest.mark.parametrize("loss", [InfoNCE(0.6), InfoNCELearned(0.07, 0.01)], ids=["fixed", "learned"])
def test_one_pair_or_unequal_batches_are_clear_errors(loss: InfoNCE) -> None:
    with pytest.raises(UserError, match="at least two image-text pairs"):
        loss(torch.ones(1, 4), torch.ones(1, 4))
    with pytest.raises(UserError, match=r"\(3, 4\) for images and \(2, 4\) for texts"):
        loss(torch.ones(3, 4), torch.ones(2, 4))


def test_impossible_temperatures_are_clear_errors() -> None:
    with pytest.raises(UserError, match="must be positive"):
        InfoNCE(0.0)
    with pytest.raises(UserError, match="must be positive"):
        InfoNCE(float("nan"))
    with pytest.raises(UserError, match="0 < floor <= initial"):
        InfoNCELearned(0.005, 0.01)


def test_learned_temperature_stops_at_its_floor_and_comes_back() -> None:
    loss = InfoNCELearned(0.07, 0.01)
    assert loss.temperature.item() == pytest.approx(0.07)
    with torch.no_grad():
        loss.logit_scale.fill_(9.0)
    assert loss.temperature.item() == pytest.approx(0.01)
    image, text = (tensor.float() for tensor in pairs(8))
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.01)
    loss(image, text).backward()  # unrelated pairs: a wider temperature would be better
    optimizer.step()
    assert loss.temperature.item() > 0.0101
