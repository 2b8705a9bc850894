"""ProxyCLIP against loops over patches, and DINO's features against transformers' own."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from medsam_exp.config.build import nested_weight_files
from medsam_exp.saliency.dino import Dino
from medsam_exp.saliency.proxyclip import ProxyCLIP
from medsam_exp.testing.saliency import small_clip
from medsam_exp.types import UserError
from tests.compose import composed

NARROW = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def noise(pixels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Features in which some patches are alike."""
    seeds = torch.Generator().manual_seed(0)
    return torch.randn(len(pixels), *grid, 3, generator=seeds)


@pytest.mark.parametrize("beta", [0.0, 1.2, 50.0])
def test_attention_is_over_the_patches_that_are_alike(beta: float) -> None:
    found = ProxyCLIP(noise, beta=beta, gamma=2.0).attention(torch.zeros(2, 3, 8, 8), (3, 4))
    features = noise(torch.zeros(2, 3, 8, 8), (3, 4)).flatten(1, 2).tolist()
    for image, of_image in enumerate(features):
        unit = [np.array(each) / np.linalg.norm(each) for each in of_image]
        mean = float(np.mean([one @ other for one in unit for other in unit]))
        for p, one in enumerate(unit):
            above = {q: float(one @ other) - beta * mean for q, other in enumerate(unit)}
            weights = {q: math.exp(2 * value) for q, value in above.items() if value > 0 or q == p}
            expected = [weights.get(q, 0.0) / sum(weights.values()) for q in range(len(unit))]
            np.testing.assert_allclose(found[image, p].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("tower", ["class_token", "maximum"])
def test_a_patch_is_the_mean_of_the_values_it_attends_to(tower: str) -> None:
    clip = small_clip(tower)
    images, method = torch.randn(2, 3, *clip.preprocess.size), ProxyCLIP(noise)
    with torch.no_grad():
        tokens = method.tokens(clip, images)
        block, before = clip.block(clip.depth - 1), clip.prefix_tokens
        value = block.queries_keys_values(clip.vision_entering(images, clip.depth - 1))[2]
        attention = method.attention(images, clip.grid)
        for p in range(attention.shape[1]):
            mixed = sum(
                attention[:, p, q, None, None] * value[:, :, before + q] for q in range(attention.shape[1])
            )
            alone = block.attended(mixed[:, :, None])
            torch.testing.assert_close(tokens[:, before + p], alone[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["dinov2", "dinov3"])
def test_features_are_those_of_the_published_network(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    if kind == "dinov2":
        network, before = Dinov2Model(Dinov2Config(image_size=56, patch_size=14, **NARROW)), 1
    else:
        network, before = DINOv3ViTModel(DINOv3ViTConfig(image_size=64, num_register_tokens=4, **NARROW)), 5
    network.eval().save_pretrained(tmp_path)
    side = network.config.patch_size
    pixels = torch.rand(2, 3, 3 * side, 4 * side)
    found = Dino(str(tmp_path))(pixels, (3, 4))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = network((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)).last_hidden_state[:, before:]
    torch.testing.assert_close(found.flatten(1, 2), expected, rtol=1e-4, atol=1e-5)
    node = composed("saliency=proxyclip", f"saliency.proxy.model={tmp_path}").saliency
    assert tmp_path / "model.safetensors" in nested_weight_files(node)
    several = OmegaConf.create({"_target_": "builtins.dict", "inner": [{"first": node}, node]})
    assert nested_weight_files(several) == 2 * nested_weight_files(node)
    assert not nested_weight_files(composed("saliency=m2ib").saliency)


def test_a_network_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    network = Dinov2Model(Dinov2Config(image_size=56, patch_size=14, **NARROW))
    pixels, weights = torch.rand(1, 3, 28, 28), network.state_dict()
    for name, given, said in (
        (
            "missing",
            {key: value for key, value in weights.items() if "layer.1.norm1" not in key},
            "does not fit Dinov2Model: 2 weights are missing",
        ),
        ("broken", {**weights, "layernorm.bias": torch.full((32,), torch.nan)}, "hold NaN"),
    ):
        network.save_pretrained(tmp_path / name)
        save_file(given, tmp_path / name / "model.safetensors", {"format": "pt"})
        with pytest.raises(UserError, match=said):
            Dino(str(tmp_path / name))(pixels, (2, 2))
    (tmp_path / "missing" / "model.safetensors").write_bytes(b"{")
    with pytest.raises(UserError, match="does not load"):
        Dino(str(tmp_path / "missing"))(pixels, (2, 2))


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    for wrong in ({"gamma": 0.0}, {"beta": -1.0}):
        with pytest.raises(UserError, match=r"^saliency\.gamma"):
            ProxyCLIP(noise, **wrong)
    with pytest.raises(UserError, match=r"is no folder with a config\.json"):
        Dino.weight_files(str(tmp_path / "absent"))
