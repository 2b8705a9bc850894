"""Which weights a training changes."""

import copy

import open_clip
import pytest
import torch

from medsam_exp.clip.adaptation.freeze import Freeze, towers
from medsam_exp.clip.adaptation.lora import Lora
from medsam_exp.types import UserError

VISION = {
    "own": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 4},
    "timm": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
}
TEXT = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 3}


@pytest.fixture(params=VISION)
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.CLIP(24, VISION[request.param], TEXT).eval()


def batch(network: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    size = network.visual.image_size
    side = size if isinstance(size, int) else size[0]
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(3, 3, side, side, generator=generator),
        torch.randint(1, 100, (3, 16), generator=generator),
    )


def trained(network: torch.nn.Module) -> set[str]:
    """Names of the parameters that a step of gradient descent on the embeddings changes."""
    before = copy.deepcopy(network.state_dict())
    images, tokens = batch(network)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    (network.encode_image(images).square().sum() + network.encode_text(tokens).square().sum()).backward()
    optimizer.step()
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def test_nothing_is_frozen_by_default(network: torch.nn.Module) -> None:
    Freeze(0, 0).prepare(network)
    assert all(p.requires_grad for p in network.parameters())


def test_frozen_towers_do_not_change(network: torch.nn.Module) -> None:
    other = copy.deepcopy(network)
    Freeze("all", 0).prepare(network)
    Freeze(0, "all").prepare(other)
    changed = trained(network)
    assert changed
    assert not any(name.startswith("visual.") for name in changed)
    changed = trained(other)
    assert changed
    assert all(name.startswith("visual.") for name in changed)
    assert network.logit_scale.requires_grad


def test_first_blocks_stay_and_last_blocks_learn(network: torch.nn.Module) -> None:
    vision, text = towers(network)
    assert {id(p) for _, p in vision + text} == {id(p) for p in network.parameters()} - {
        id(network.logit_scale)
    }
    Freeze(2, 1).prepare(network)
    changed = trained(network)
    blocks = (
        "visual.transformer.resblocks"
        if "visual.conv1.weight" in network.state_dict()
        else "visual.trunk.blocks"
    )
    for number in range(4):
        learns = any(name.startswith(f"{blocks}.{number}.") for name in changed)
        assert learns == (number >= 2), number
    for number in range(3):
        assert any(name.startswith(f"transformer.resblocks.{number}.") for name in changed) == (number >= 1)
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert {"token_embedding.weight", "positional_embedding"} <= frozen
    first = {
        "visual.conv1.weight",
        "visual.class_embedding",
        "visual.positional_embedding",
        "visual.ln_pre.weight",
    }
    timm = {"visual.trunk.patch_embed.proj.weight", "visual.trunk.cls_token", "visual.trunk.pos_embed"}
    assert (first if "resblocks" in blocks else timm) <= frozen
    assert {"ln_final.weight", "text_projection"} <= changed


def test_impossible_numbers_of_blocks_are_clear_errors(network: torch.nn.Module) -> None:
    with pytest.raises(UserError, match=r"text_blocks=7, but that tower has 3 blocks"):
        Freeze(0, 7).prepare(network)
    with pytest.raises(UserError, match="cannot be negative"):
        Freeze(-1, 0).prepare(network)
    with pytest.raises(UserError, match=r"rank=0"):
        Lora(0, 1, 0.0)


def test_lora_trains_corrections_and_leaves_a_plain_network(network: torch.nn.Module) -> None:
    pytest.importorskip("peft", reason="peft is not installed (make setup)")
    images, tokens = batch(network)
    names, before = list(network.state_dict()), copy.deepcopy(network.state_dict())
    untouched = network.encode_image(images), network.encode_text(tokens)
    lora = Lora(4, 8, 0.0)
    lora.prepare(network)
    assert torch.allclose(network.encode_image(images), untouched[0], atol=1e-6), "corrections start at zero"
    learnt = [name for name, p in network.named_parameters() if p.requires_grad]
    assert learnt
    assert all("lora_" in name for name in learnt)
    assert (
        0
        < sum(network.get_parameter(name).numel() for name in learnt)
        < 0.5 * sum(value.numel() for value in before.values())
    )
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.02)
    for _ in range(3):
        optimizer.zero_grad()
        loss = network.encode_image(images).square().sum() + network.encode_text(tokens).square().sum()
        loss.backward()
        optimizer.step()
    corrected = network.encode_image(images), network.encode_text(tokens)
    assert (corrected[0] - untouched[0]).abs().max() > 1e-3
    assert (corrected[1] - untouched[1]).abs().max() > 1e-3
    lora.finish()
    assert list(network.state_dict()) == names
    assert torch.allclose(network.encode_image(images), corrected[0], atol=1e-5)
    assert torch.allclose(network.encode_text(tokens), corrected[1], atol=1e-5)
    assert torch.equal(network.state_dict()["ln_final.weight"], before["ln_final.weight"])
