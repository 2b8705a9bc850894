"""Checks of saliency methods, over images and over the words of a text, on small networks with random weights."""

import copy
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import open_clip
import torch
from torch import Tensor

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.word_tokens import tokenize_words
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.saliency.geometry import from_stored_grid
from medsam_exp.saliency.method import SaliencyMethod
from medsam_exp.testing.expectation import about, contract, expect, expect_error
from medsam_exp.testing.networks import left_as_it_was
from medsam_exp.types import UserError

_OPEN_CLIP = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 4}
TOWERS: dict[str, dict[str, Any]] = {
    "class_token": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 64},
    "open_clip": _OPEN_CLIP,
    "average": _OPEN_CLIP | {"pool_type": "avg"},
    "maximum": {"timm_model_name": "test_vit2", "timm_pool": "max", "image_size": 64},
    "attention_pool": {"timm_model_name": "test_vit3", "timm_pool": "", "image_size": 160},
    "resnet": {"image_size": 128, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
    "timm_map": {"timm_model_name": "test_convnext", "timm_pool": "", "image_size": 128},
    "whole": _OPEN_CLIP | {"attentional_pool": True},
}
"""Kinds of vision towers, each as open_clip's `vision_cfg` of a small one."""
_LOW_PRECISION = ("class_token", "resnet")
_SIZES = ((40, 90), (90, 40), (1, 50), (50, 1), (1, 1), (2, 3), (700, 300), (3, 2000))
_TEXTS = ("a large dark round mass in the upper left", "mass", "", "word " * 100, "naïve ☃ (3 mm), 5 %")


@cache
def small_clip(tower: str) -> ClipModel:
    """A small CLIP with random weights that let images and texts matter; the same object each time.

    Args:
        tower: one of `TOWERS`.
    """
    vision = TOWERS[tower]
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    model_cfg = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = open_clip.CLIP(**model_cfg).eval()
        for parameter in network.visual.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
        _calibrate_batch_norm(network.visual)
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    statistics: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.25] * 3}
    return ClipModel(network, tokenizer, model_cfg, **statistics, saliency_layer=0).eval()


@contract
def check_saliency(method: SaliencyMethod | Any, /, towers: Mapping[str, ClipModel] | None = None) -> None:
    """Check a saliency method on every kind of vision tower, and its way back to the image's frame.

    On each tower that the method's `needs` admit: shape, type and finiteness of the maps, the same maps for the same
    generators, no influence of batch mates, order or the length of a text's embedding, a text that matters where
    `uses_text` says so, low precision, a network that is returned unchanged. On others: a refusal in one sentence.

    Args:
        method: the object, or a configuration node that describes it; with few steps, so that it is fast, and with
            layers that a network of 4 layers has.
        towers: CLIP models by name; None for small ones of every kind in `TOWERS`.
    """
    for tower, clip in (towers or {name: small_clip(name) for name in TOWERS}).items():
        with about(f"on a tower of kind {tower}"):
            _check_on_tower(method, clip, tower in _LOW_PRECISION)
    _check_geometry(method, small_clip("open_clip"))


@contract
def check_text_saliency(method: Any, /, clip: ClipModel | None = None) -> None:
    """Check a method that finds the relevant words: any text and image, the same each time, padding is 0.

    Args:
        method: the object, or a configuration node that describes it.
        clip: None for the embedded tiny model.
    """
    clip = clip or load_clip("tiny")
    size = clip.preprocess.size
    tokenized = [tokenize_words(clip.tokenizer, text) for text in _TEXTS]
    ids, real = torch.stack([each.ids for each in tokenized]), torch.stack([each.real for each in tokenized])
    noise = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(0))
    images = torch.stack([torch.zeros(3, *size), torch.ones(3, *size), *noise])
    with left_as_it_was(clip):
        with torch.no_grad():
            embedding = clip.encode_image(images)
        found, again = (
            method(clip, ids, real, embedding, [torch_generator(0, number) for number in range(len(_TEXTS))])
            for _ in range(2)
        )
    expect(found.shape == ids.shape, f"relevance has shape {tuple(found.shape)}, not that of the ids")
    _expect_numbers(found, "relevance is")
    expect(bool((found >= 0).all()), "relevance must not be negative")
    expect(not found[~real].any(), "padding must have the relevance 0")
    expect(torch.equal(again, found), "the same generators give another relevance the second time")


def _check_on_tower(method: SaliencyMethod, clip: ClipModel, low_precision: bool) -> None:
    if clip.layout.refusal(method.needs, "it") is not None:
        expect_error(
            UserError,
            r"clip\.model has a vision tower of kind",
            "its `needs` do not admit the tower, so it must refuse it by clip.require(...)",
            method,
            clip,
            *_batch(clip, 1),
            _generators(1),
        )
        return
    _check_maps(method, clip)
    _check_text_matters(method, clip)
    _check_network_is_unchanged(method, clip)
    if low_precision:
        _check_low_precision(method, clip)


def _expect_numbers(found: Tensor, what: str) -> None:
    expect(found.dtype == torch.float32, f"{what} {found.dtype}, but must be float32")
    expect(not found.requires_grad, f"{what} still in the graph, but must be detached")
    expect(bool(found.isfinite().all()), f"{what} not finite everywhere")


def _check_maps(method: SaliencyMethod, clip: ClipModel) -> None:
    images, texts = _batch(clip, 3)
    maps = method(clip, images, texts, _generators(1, 2, 3))
    expect(maps.ndim == 3 and len(maps) == 3, f"3 images give {tuple(maps.shape)}, not (3, gh, gw)")
    _expect_numbers(maps, "the maps are")
    expect(len({each.numpy().tobytes() for each in maps}) > 1, "different images give equal maps")
    again = method(clip, images, texts, _generators(1, 2, 3))
    expect(torch.equal(again, maps), "the same generators give other maps the second time")
    alone = method(clip, images[1:2], texts[1:2], _generators(2))
    expect(_close(alone[0], maps[1]), "an image's map depends on its batch mates")
    order = [2, 0, 1]
    scaled = method(clip, images[order], 7 * texts[order], _generators(3, 1, 2))
    expect(
        _close(scaled[2], maps[1]),
        "an image's map depends on the order of the batch or on the length of the text's embedding",
    )


def _check_text_matters(method: SaliencyMethod, clip: ClipModel) -> None:
    images, texts = _batch(clip, 3)
    maps = method(clip, images[:1].expand(3, -1, -1, -1), texts, _generators(5, 5, 5))
    difference = float((maps - maps[:1]).abs().max())
    if method.uses_text:
        matters = difference > 1e-3 * float(maps.abs().max())
        expect(matters, "three texts give one map; set uses_text = False if that is meant")
    else:
        expect(difference == 0, "uses_text is False, but another text gives another map")


def _check_network_is_unchanged(method: SaliencyMethod, clip: ClipModel) -> None:
    clip = copy.deepcopy(clip).train()
    next(iter(clip.network.visual.children())).eval()  # a mixed state must come back mixed
    clip.logit_scale.requires_grad_(False)
    for context in (torch.enable_grad(), torch.no_grad()):
        with context, left_as_it_was(clip):
            method(clip, *_batch(clip, 2), _generators(1, 2))


def _check_low_precision(method: SaliencyMethod, clip: ClipModel) -> None:
    images, texts = _batch(clip, 1)
    exact = method(clip, images, texts, _generators(1))
    with torch.autocast("cpu", torch.bfloat16):
        low = method(clip, images, texts, _generators(1))
    expect(low.dtype == torch.float32, f"in bfloat16 the maps are {low.dtype}, not float32")
    correlation = float(torch.corrcoef(torch.stack([low.flatten(), exact.flatten()]))[0, 1])
    expect(correlation > 0.9, f"maps in bfloat16 and float32 correlate by {correlation:.2f} only")


def _check_geometry(method: SaliencyMethod, clip: ClipModel) -> None:
    """An image's way into the network, and the way of its map back."""
    geometry, generator = method.geometry(clip), torch.Generator()
    for size in _SIZES:
        with about(f"an image of {size}"):
            pixels = geometry.preprocess(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
            fits = pixels.shape == (3, *clip.preprocess.size) and pixels.dtype == torch.float32
            expect(fits, f"it is preprocessed to {tuple(pixels.shape)}, {pixels.dtype}")
            largest = float(pixels.abs().max())
            expect(largest <= 2, f"preprocessed pixels reach {largest:.1f}; (x - mean) / std gives 2")
            relevance = torch.rand(4, 4, generator=generator.manual_seed(1))
            saliency_map = geometry.to_original_frame(relevance, size)
            fits = saliency_map.shape == size and saliency_map.dtype == np.float32
            expect(fits, f"its map has {saliency_map.shape}, {saliency_map.dtype}")
            expect(0 <= saliency_map.min() <= saliency_map.max() <= 1, "its map leaves [0, 1]")
            if geometry.stored is not None:
                stored = json.loads(json_text(geometry.stored))
                again = from_stored_grid(relevance.numpy(), stored, size)
                expect(np.array_equal(again, saliency_map), "the grid that is stored gives another map")
            flat = geometry.to_original_frame(torch.ones(4, 4), size)
            expect(not flat.any(), "relevance that is equal everywhere must become an all-zero map")
            nan, refused = torch.full((4, 4), torch.nan), "relevance that is not a number must be refused"
            expect_error(ValueError, "not finite", refused, geometry.to_original_frame, nan, size)
    image = np.zeros((128, 128, 3), np.uint8)
    image[:32, 96:] = 255  # top right
    brightness = geometry.preprocess(image).mean(0)
    patches = brightness.unflatten(0, (4, -1)).unflatten(2, (4, -1)).mean((1, 3))
    saliency_map = geometry.to_original_frame(patches, (128, 128))
    expect(
        saliency_map[8, 120] > 0.9 and saliency_map[120, 8] < 0.1,
        "a bright top right corner does not come back at the top right; are rows and columns swapped?",
    )


def _calibrate_batch_norm(visual: torch.nn.Module) -> None:
    """Give batch normalisation the statistics of random images, without which deep maps would be flat."""
    for part in visual.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.train().momentum = 1.0
            part.weight.data.fill_(1.0)
    size: Any = visual.image_size
    size = (size, size) if isinstance(size, int) else size
    with torch.no_grad():
        visual(torch.randn(8, 3, *size))
    visual.eval()


def _batch(clip: ClipModel, count: int) -> tuple[Tensor, Tensor]:
    """Images (B, 3, h, w) and embeddings of texts (B, D)."""
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(count, 3, *clip.preprocess.size, generator=generator)
    return images, torch.randn(count, clip.embed_dim, generator=generator)


def _generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
