"""Positional embeddings are interpolated as open_clip itself does when a network is made for another image size."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import resize_pos_embed

from medsam_exp.clip.image_size import set_image_size
from medsam_exp.clip.load import load_clip, save_clip
from medsam_exp.types import UserError
from tests.clip.conftest import TOWERS, make_network


def randomised(vision: dict[str, Any]) -> torch.nn.Module:
    network, _ = make_network(vision)
    for parameter in network.visual.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    return network


@pytest.mark.parametrize("size", [16, 48])
@pytest.mark.parametrize("kind", ["open_clip", "open_clip_average"])
def test_open_clips_tower(kind: str, size: int) -> None:
    network = randomised(TOWERS[kind])
    expected, _ = make_network(TOWERS[kind] | {"image_size": size})
    state = network.state_dict()
    resize_pos_embed(state, expected)
    expected.load_state_dict(state)
    set_image_size(network, size)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(
            network.encode_image(images), expected.encode_image(images), rtol=0, atol=1e-6
        )


def test_positions_that_are_not_trained_stay_so() -> None:
    network = randomised(TOWERS["open_clip"] | {"pos_embed_type": "sin_cos_2d"})
    assert not network.visual.positional_embedding.requires_grad
    set_image_size(network, 48)
    assert not network.visual.positional_embedding.requires_grad
    assert network.visual.positional_embedding.shape[0] > 16


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "test_vit"])
def test_timms_tower(name: str) -> None:
    network = randomised({"timm_model_name": name, "timm_pool": "", "timm_proj": "linear", "image_size": 224})
    expected = deepcopy(network)
    expected.visual.set_input_size(96)
    set_image_size(network, 96)
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(
            network.encode_image(images), expected.encode_image(images), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("folder", ["tiny_folder", "bert_folder"])
def test_a_loaded_network_is_saved_and_loaded_at_its_new_size(
    folder: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clip = load_clip(str(request.getfixturevalue(folder)), image_size=48)
    assert clip.image_size == 48
    assert clip.preprocess.size == (48, 48)
    images = torch.randn(1, 3, 48, 48)
    assert clip.vision_prefix(images, 1).shape[1] == clip.prefix_tokens + clip.grid[0] * clip.grid[1]
    save_clip(clip, tmp_path / "saved", torch.float32)
    again = load_clip(str(tmp_path / "saved"))
    with torch.no_grad():
        assert torch.equal(again.encode_image(images), clip.encode_image(images))


def test_a_trunk_of_fixed_size_is_loaded_at_the_described_one(tmp_path: Path) -> None:
    vision = {
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 224,
    }
    cfg = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": {"width": 16, "heads": 2, "layers": 1}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-S", cfg)
        clip = load_clip("ViT-S", "random", image_size=64)
    save_clip(clip, tmp_path / "saved", torch.float32)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            load_clip(str(tmp_path / "saved")).encode_image(images), clip.encode_image(images)
        )


def test_towers_without_a_grid_refuse() -> None:
    network, _ = make_network({"layers": [1, 1, 1, 1], "width": 16, "image_size": 64, "head_width": 32})
    with pytest.raises(UserError, match="kind ModifiedResNet without a plain grid of patches"):
        set_image_size(network, 96)
    with pytest.raises(
        UserError, match="kind VisionTransformer without a plain grid"
    ):  # a convolutional stem
        load_clip("tiny", image_size=192)


def test_patches_must_fill_the_image(tiny_folder: Path) -> None:
    with pytest.raises(UserError, match=r"image_size=50, but patches of 8 x 8 .* a multiple, such as 48"):
        load_clip(str(tiny_folder), image_size=50)
