import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.bottleneck import capacity, draw_noise
from medsam_exp.saliency.m2ib import M2IB
from medsam_exp.types import UserError

KINDS = ["open_clip", "timm"]
Make = Callable[[str], ClipModel]


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def batch(clip: ClipModel, count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    size = clip.image_size
    images = torch.randn(count, 3, size, size, generator=generator)
    return images, torch.randn(count, clip.embed_dim, generator=generator)


def slow_reference(method: M2IB, clip: ClipModel, image: Tensor, text: Tensor, seed: int) -> Tensor:
    """One image, written out: the whole network each time, a hook that replaces the tokens, Adam by hand."""
    visual = clip.network.visual
    blocks = visual.trunk.blocks if hasattr(visual, "trunk") else visual.transformer.resblocks
    count, generator = method.noise_samples, generators(seed)[0]
    seen: dict[str, Tensor] = {}

    def bottleneck(_: nn.Module, __: Any, tokens: Tensor) -> Tensor:
        keep = 1 / (1 + torch.exp(-seen["alpha"]))
        seen["information"] = -0.5 * (
            1 + torch.log((1 - keep) ** 2) - (keep * tokens[0]) ** 2 - (1 - keep) ** 2
        )
        noise = torch.randn((count, *tokens.shape[1:]), generator=generator)
        return keep * tokens + (1 - keep) * noise

    shape = clip.vision_prefix(image[None], method.layer).shape[1:]
    seen["alpha"] = torch.full(shape, method.initial_alpha, requires_grad=True)
    first, second = torch.zeros(shape), torch.zeros(shape)
    handle = blocks[method.layer].register_forward_hook(bottleneck)
    try:
        for step in range(1, method.steps + 1):
            embedding = clip.encode_image(image.expand(count, -1, -1, -1))
            cosine = (embedding @ text) / (embedding.norm(dim=-1) * text.norm())
            loss = method.beta * seen["information"].mean() - cosine.mean()
            (gradient,) = torch.autograd.grad(loss, seen["alpha"])
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            change = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
            seen["alpha"] = (seen["alpha"] - method.lr * change).detach().requires_grad_()
    finally:
        handle.remove()
    return seen["information"].detach().sum(-1)[clip.prefix_tokens :].reshape(clip.grid)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layer", "beta"), [(1, 0.1), (2, 1.0)])
def test_equals_the_slow_reference(make_tiny: Make, kind: str, layer: int, beta: float) -> None:
    clip = make_tiny(kind)
    images, texts = batch(clip, 3)
    method = M2IB(layer=layer, beta=beta, steps=6, noise_samples=4)
    relevance = method(clip, images, texts, generators(1, 2, 3))
    assert relevance.shape == (3, *clip.grid)
    assert relevance.dtype == torch.float32
    for i, seed in enumerate((1, 2, 3)):
        reference = slow_reference(method, clip, images[i], texts[i], seed)
        torch.testing.assert_close(relevance[i], reference, rtol=1e-5, atol=1e-5 * float(reference.max()))


def test_the_layer_is_the_networks_unless_said(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    images, texts = batch(clip, 1)
    own, said = (
        M2IB(layer=layer, beta=0.1, steps=2, noise_samples=2)(clip, images, texts, generators(1))
        for layer in (None, clip.saliency_layer)
    )
    assert torch.equal(own, said)


def test_maps_depend_on_the_text(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    images, texts = batch(clip, 2)
    method = M2IB(layer=1, beta=0.01, steps=10, noise_samples=4)
    same_image = images[:1].expand(2, -1, -1, -1)
    maps = method(clip, same_image, texts, generators(5, 5))
    again = method(clip, same_image, texts[:1].expand(2, -1), generators(5, 5))
    assert torch.equal(again[0], again[1])
    assert (maps[0] - maps[1]).abs().max() > 0.01 * maps.abs().max()
    torch.testing.assert_close(
        method(clip, same_image, 50 * texts, generators(5, 5)), maps
    )  # length is nothing


def test_maps_depend_on_the_seed_alone(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    images, texts = batch(clip, 1)
    method = M2IB(layer=1, beta=0.1, steps=4, noise_samples=2)
    first = method(clip, images, texts, generators(1))
    torch.manual_seed(99)  # the global state is nothing
    assert torch.equal(method(clip, images, texts, generators(1)), first)
    assert not torch.equal(method(clip, images, texts, generators(2)), first)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_mates_do_not_matter(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind)
    images, texts = batch(clip, 5)
    method = M2IB(layer=1, beta=1.0, steps=5, noise_samples=3)
    together = method(clip, images[:3], texts[:3], generators(1, 2, 3))
    alone = method(clip, images[1:2], texts[1:2], generators(2))
    torch.testing.assert_close(together[1], alone[0], rtol=1e-4, atol=1e-5 * float(alone.max()))
    mates = [3, 1, 4]
    assert torch.equal(method(clip, images[mates], texts[mates], generators(8, 2, 9))[1], together[1])


def test_more_compression_leaves_less(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    images, texts = batch(clip, 1)
    left = [
        M2IB(layer=1, beta=beta, noise_samples=2)(clip, images, texts, generators(1)).mean()
        for beta in (0.0, 10.0)
    ]
    assert left[1] < left[0]


def test_capacity_is_the_divergence_of_two_normals() -> None:
    alpha, signal = (
        torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64),
        torch.tensor([0.3, -1.0, 2.0]).double(),
    )
    keep = alpha.sigmoid()
    passed = torch.distributions.Normal(keep * signal, 1 - keep)
    expected = torch.distributions.kl_divergence(passed, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(capacity(alpha, signal), expected)
    assert capacity(torch.tensor([200.0]), torch.tensor([1.0])).isfinite().all()


def test_noise_of_an_image_is_its_generators_alone() -> None:
    both = draw_noise(generators(1, 2), (3, 4), "cpu")
    assert both.shape == (2, 3, 4)
    assert torch.equal(draw_noise(generators(2), (3, 4), "cpu")[0], both[1])


class BoomError(Exception):
    pass


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_given_back_as_it_was(
    make_tiny: Make, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_tiny("timm").train()
    clip.network.visual.trunk.blocks[0].eval()  # a mixed state must come back mixed
    clip.network.visual.trunk.patch_embed.proj.weight.requires_grad_(False)
    clip.logit_scale.grad = torch.tensor(3.0)
    weights = copy.deepcopy(clip.state_dict())
    modes = [part.training for part in clip.modules()]
    wanting = [parameter.requires_grad for parameter in clip.parameters()]
    seen: list[bool] = []
    original = clip.vision_suffix

    def suffix(tokens: Tensor, layer: int) -> Tensor:
        seen.append(any(part.training for part in clip.modules()))
        if fails and len(seen) == 3:
            raise BoomError
        return original(tokens, layer)

    monkeypatch.setattr(clip, "vision_suffix", suffix)
    images, texts = batch(clip, 2)
    try:
        M2IB(layer=2, beta=1.0, noise_samples=2)(clip, images, texts, generators(1, 2))
    except BoomError:
        assert fails
    assert len(seen) == (3 if fails else 9)  # the tenth forward is not needed
    assert not any(seen)
    assert [part.training for part in clip.modules()] == modes
    assert [parameter.requires_grad for parameter in clip.parameters()] == wanting
    assert [p for p in clip.parameters() if p.grad is not None] == [clip.logit_scale]
    assert clip.logit_scale.grad == 3
    assert all(torch.equal(value, weights[name]) for name, value in clip.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in clip.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_low_precision_under_autocast(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind)
    images, texts = batch(clip, 2)
    method = M2IB(layer=1, beta=1.0, noise_samples=4)
    exact = method(clip, images, texts, generators(1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        low = method(clip, images, texts, generators(1, 2))
    assert low.dtype == torch.float32
    assert not torch.equal(low, exact)
    assert torch.corrcoef(torch.stack([low.flatten(), exact.flatten()]))[0, 1] > 0.98


def test_works_inside_no_grad(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    images, texts = batch(clip, 1)
    expected = M2IB(layer=1, beta=1.0, steps=3)(clip, images, texts, generators(1))
    with torch.no_grad():
        found = M2IB(layer=1, beta=1.0, steps=3)(clip, images, texts, generators(1))
    assert torch.equal(found, expected)
    assert not found.requires_grad


def test_bad_arguments(make_tiny: Make) -> None:
    for bad in ({"steps": 1}, {"noise_samples": 0}, {"lr": 0.0}, {"beta": -1.0}):
        with pytest.raises(UserError, match=next(iter(bad))):
            M2IB(**({"layer": 1, "beta": 1.0} | bad))  # type: ignore[arg-type]
    clip = make_tiny("open_clip")
    images, texts = batch(clip, 2)
    with pytest.raises(UserError, match="layer 9"):
        M2IB(layer=9, beta=1.0)(clip, images, texts, generators(1, 2))
    with pytest.raises(ValueError, match="one generator"):
        M2IB(layer=1, beta=1.0)(clip, images, texts, generators(1))
