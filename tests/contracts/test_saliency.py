"""What every saliency method promises; new files in conf/saliency are tested by themselves."""

import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.config.build import build
from medsam_exp.saliency.method import SaliencyMethod
from medsam_exp.types import UserError
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "saliency").glob("*.yaml"))
FASTER = {"channels": 6, "noise_samples": 2, "steps": 3, "beta": 0.01, "layer": 0}
"""Numbers that small networks have, where a method takes them; few, so that the tests run in seconds."""
OWN = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 4}
TOWERS: dict[str, dict[str, Any]] = {
    "class_token": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 64},
    "open_clip": OWN,
    "average": OWN | {"pool_type": "avg"},
    "maximum": {"timm_model_name": "test_vit2", "timm_pool": "max", "image_size": 64},
    "attention_pool": {"timm_model_name": "test_vit3", "timm_pool": "", "image_size": 160},
    "resnet": {"image_size": 128, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
    "timm_map": {"timm_model_name": "test_convnext", "timm_pool": "", "image_size": 128},
    "whole": OWN | {"attentional_pool": True},
}
CASES = [(choice, tower) for choice in CHOICES for tower in TOWERS]


@pytest.fixture(scope="module")
def clips() -> dict[str, ClipModel]:
    """One small CLIP of each kind of tower, with weights that let images and texts matter."""
    return {tower: clip_of(vision) for tower, vision in TOWERS.items()}


def clip_of(vision: dict[str, Any]) -> ClipModel:
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    model_cfg = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = open_clip.CLIP(**model_cfg).eval()
        for parameter in network.visual.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
        settle(network.visual)
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    statistics: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.25] * 3}
    return ClipModel(network, tokenizer, model_cfg, **statistics, saliency_layer=0).eval()


def settle(visual: torch.nn.Module) -> None:
    """Give batch normalisation the statistics of random images, without which deep maps would be flat."""
    norms = [part for part in visual.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
        norm.weight.data.fill_(1.0)
    size: Any = visual.image_size
    size = (size, size) if isinstance(size, int) else size
    with torch.no_grad():
        visual(torch.randn(8, 3, *size))
    visual.eval()


@functools.cache
def method_of(choice: str) -> SaliencyMethod:
    node: DictConfig = composed(f"saliency={choice}").saliency
    return build(node, **{name: value for name, value in FASTER.items() if name in node})


def usable(choice: str, clip: ClipModel) -> SaliencyMethod | None:
    """The method, or None where it cannot serve this tower, which it must then have said."""
    method = method_of(choice)
    if clip.layout.refusal(method.needs, choice) is None:
        return method
    with pytest.raises(UserError, match=r"clip\.model has a vision tower of kind"):
        method(clip, *batch(clip, 1), generators(1))
    return None


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def batch(clip: ClipModel, count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(count, 3, *clip.preprocess.size, generator=generator)
    return images, torch.randn(count, clip.embed_dim, generator=generator)


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize(("choice", "tower"), CASES)
def test_maps(clips: dict[str, ClipModel], choice: str, tower: str) -> None:
    clip = clips[tower]
    if (method := usable(choice, clip)) is None:
        return
    images, texts = batch(clip, 3)
    maps = method(clip, images, texts, generators(1, 2, 3))
    assert maps.shape[0] == 3
    assert maps.ndim == 3
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    assert bool(maps.isfinite().all())
    assert len({row.numpy().tobytes() for row in maps}) > 1, "all maps are equal"

    assert torch.equal(method(clip, images, texts, generators(1, 2, 3)), maps)  # determinism
    close(method(clip, images[1:2], texts[1:2], generators(2))[0], maps[1])  # batch mates
    order = [2, 0, 1]
    close(
        method(clip, images[order], 7 * texts[order], generators(3, 1, 2))[2], maps[1]
    )  # order, a text's length


@pytest.mark.parametrize(("choice", "tower"), CASES)
def test_text_matters_where_the_method_says_so(clips: dict[str, ClipModel], choice: str, tower: str) -> None:
    clip = clips[tower]
    if (method := usable(choice, clip)) is None:
        return
    images, texts = batch(clip, 3)
    maps = method(clip, images[:1].expand(3, -1, -1, -1), texts, generators(5, 5, 5))
    if method.uses_text:
        assert float((maps - maps[:1]).abs().max()) > 1e-3 * float(maps.abs().max())
    else:
        assert torch.equal(maps[1], maps[0])
        assert torch.equal(maps[2], maps[0])


@pytest.mark.parametrize(("choice", "tower"), CASES)
def test_the_network_is_given_back_as_it_was(clips: dict[str, ClipModel], choice: str, tower: str) -> None:
    clip = copy.deepcopy(clips[tower]).train()
    if (method := usable(choice, clip)) is None:
        return
    next(iter(clip.network.visual.children())).eval()  # a mixed state must come back mixed
    clip.logit_scale.requires_grad_(False)
    before = list(state_of(clip))
    weights = copy.deepcopy(clip.state_dict())
    for context in (torch.enable_grad(), torch.no_grad()):
        with context:
            method(clip, *batch(clip, 2), generators(1, 2))
    assert list(state_of(clip)) == before
    assert all(parameter.grad is None for parameter in clip.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in clip.state_dict().items())


def state_of(clip: ClipModel) -> Iterator[Any]:
    """Modes, hooks, flags and wishes for gradients of every part."""
    for part in clip.modules():
        yield part.training, len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks)
        yield getattr(part, "fused_attn", None), sorted(vars(part))
    yield [parameter.requires_grad for parameter in clip.parameters()]


@pytest.mark.parametrize(("choice", "tower"), [(c, t) for c, t in CASES if t in ("class_token", "resnet")])
def test_low_precision(clips: dict[str, ClipModel], choice: str, tower: str) -> None:
    clip = clips[tower]
    if (method := usable(choice, clip)) is None:
        return
    images, texts = batch(clip, 1)
    exact = method(clip, images, texts, generators(1))
    with torch.autocast("cpu", torch.bfloat16):
        low = method(clip, images, texts, generators(1))
    assert low.dtype == torch.float32
    both = torch.stack([low.flatten(), exact.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.9


@pytest.mark.parametrize(
    "size", [(40, 90), (90, 40), (1, 50), (50, 1), (1, 1), (2, 3), (700, 300), (3, 2000)]
)
@pytest.mark.parametrize("choice", CHOICES)
def test_the_way_in_and_back(clips: dict[str, ClipModel], choice: str, size: tuple[int, int]) -> None:
    clip = clips["open_clip"]
    geometry = method_of(choice).geometry(clip)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    pixels = geometry.preprocess(image)
    assert pixels.shape == (3, *clip.preprocess.size)
    assert pixels.dtype == torch.float32
    assert float(pixels.abs().max()) <= 2  # (1 - mean) / std of these networks
    saliency_map = geometry.to_original_frame(torch.rand(4, 4, generator=generators(1)[0]), size)
    assert saliency_map.shape == size
    assert saliency_map.dtype == np.float32
    assert 0 <= saliency_map.min() <= saliency_map.max() <= 1
    assert not geometry.to_original_frame(torch.ones(4, 4), size).any()
    with pytest.raises(ValueError, match="not finite"):
        geometry.to_original_frame(torch.full((4, 4), float("nan")), size)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_place_comes_back_where_it_was_in_a_square_image(clips: dict[str, ClipModel], choice: str) -> None:
    """Rows stay rows and columns columns: a bright corner in, the same corner out."""
    clip = clips["open_clip"]
    geometry = method_of(choice).geometry(clip)
    image = np.zeros((128, 128, 3), np.uint8)
    image[:32, 96:] = 255  # above, right
    brightness = geometry.preprocess(image).mean(0)
    patches = brightness.unflatten(0, (4, -1)).unflatten(2, (4, -1)).mean((1, 3))
    saliency_map = geometry.to_original_frame(patches, (128, 128))
    assert saliency_map[8, 120] > 0.9
    assert saliency_map[120, 8] < 0.1
