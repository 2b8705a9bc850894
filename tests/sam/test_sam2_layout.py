"""SAM 2.1's published checkpoints, by tables from Meta's code, come into transformers' network name by name."""

import logging
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.load import load_sam, save_sam
from medsam_exp.sam.sam2_layout import sam2_names
from medsam_exp.types import UserError
from tests.sam.layouts.sam2 import BYTES, HIERA, Hiera, edgetam_layout, sam2_layout
from tests.sam.small_networks import small_sam2, stir

POSITIONS = "shared_image_embedding.positional_embedding"
SMALL = Hiera(16, (1, 1, 2, 1), 7)
POINTS = "sam_prompt_encoder.point_embeddings"


@pytest.mark.parametrize("size", HIERA)
def test_the_tables_have_the_size_of_the_published_files(size: str) -> None:
    shapes = [shape for shape, _ in sam2_layout(HIERA[size]).values()]
    for_names = BYTES[size] - 4 * sum(map(math.prod, shapes))
    assert 300 < for_names / len(shapes) < 340


LAYOUTS = {
    **{f"sam2_{size}": partial(sam2_layout, hiera) for size, hiera in HIERA.items()},
    "edgetam": edgetam_layout,
}


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_every_published_tensor_has_its_place_or_is_of_videos(architecture: str) -> None:
    with torch.device("meta"):
        network = FAMILIES[architecture].make().network
        stored = {name: torch.empty(shape) for name, (shape, _) in LAYOUTS[architecture]().items()}
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in sam2_names(stored, network).items()} == wanted


def in_metas_layout(network: torch.nn.Module) -> dict[str, Tensor]:
    """A network's weights by Meta's names, by the table; the memory of videos beside them."""
    weights, rows = network.state_dict(), sam2_layout(SMALL)
    stored = {name: weights[its] for name, (_, its) in rows.items() if its in weights}
    points = weights["prompt_encoder.point_embed.weight"]
    stored |= {f"{POINTS}.{kind}.weight": points[kind : kind + 1].clone() for kind in range(4)}
    return stored | {
        name: torch.ones(shape) for name, (shape, its) in rows.items() if name not in stored and not its
    }


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = small_sam2()
        stir(made)
    return made


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice's network is the small one."""
    family = FAMILIES["sam2_tiny"]
    monkeypatch.setitem(
        FAMILIES, "sam2_tiny", type(family)(small_sam2, family.framing, family.model, family.names)
    )


WRAPPED = {
    "as published": lambda state: {"model": state},
    "bare": lambda state: state,
    "DataParallel": lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
    "compiled": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "Lightning": lambda state: {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "epoch": 3,
    },
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_metas_layout_gives_each_weight_to_its_name(network, wrapped: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[wrapped](in_metas_layout(network)), tmp_path / "weights.pt")
    loaded = load_sam("sam2_tiny", str(tmp_path / "weights.pt")).network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(loaded[name], value), name


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["folder", "model.safetensors", "weights.pth", "saved again"])
def test_transformers_layout(network, kind: str, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    path = tmp_path if kind == "folder" else tmp_path / kind
    state = {**network.state_dict(), "memory_encoder.projection.bias": torch.ones(64)}
    if kind == "weights.pth":  # safetensors under any suffix, and the memory of videos beside it
        save_file(state, path)
    elif kind == "saved again":
        save_sam(load_sam("sam2_tiny", str(tmp_path / "model.safetensors")), path, torch.float32)
    loaded = load_sam("sam2_tiny", str(path)).network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(loaded[name], value), name


@pytest.mark.usefixtures("small")
def test_a_folder_of_another_network_is_refused(network, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    assert '"global_attention_blocks": [\n        3\n      ]' in config
    (tmp_path / "config.json").write_text(config.replace("[\n        3\n      ]", "[\n        2\n      ]"))
    with pytest.raises(
        UserError, match=r"backbone_config.global_attention_blocks=2, but sam2_tiny has 3; choose"
    ):
        load_sam("sam2_tiny", str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"is a folder without model.safetensors or pytorch_model.bin: name"):
        load_sam("sam2_tiny", str(tmp_path))


def test_a_file_that_lacks_something_says_what(network, small, tmp_path: Path) -> None:
    state = in_metas_layout(network)
    del state["sam_mask_decoder.conv_s0.bias"]
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(
        UserError, match=r"1 missing, of \d+\); point .*\n  missing:\n    mask_decoder.conv_s0.bias"
    ):
        load_sam("sam2_tiny", str(tmp_path / "weights.pt"))


def test_random_weights_know_one_place_of_each_pixel(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    weights = load_sam("sam2_tiny", "random", seed=1).network.state_dict()
    assert torch.equal(weights[POSITIONS], weights["prompt_encoder.shared_embedding.positional_embedding"])
    assert not caplog.records
