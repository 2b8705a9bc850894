"""Names and shapes stand here as the port's own code defines them, and what it computes is written out again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import conv2d, embedding, gelu, layer_norm, linear, softmax

from medsam_exp.clip.export import export, save_huggingface
from medsam_exp.clip.layouts import from_huggingface, is_huggingface, to_huggingface
from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.types import UserError

Weights = dict[str, torch.Tensor]
Embed = Callable[..., tuple[torch.Tensor, torch.Tensor]]

LAYOUT = """
logit_scale
text_model.embeddings.token_embedding.weight                 words  text
text_model.embeddings.position_embedding.weight              places text
text_model.embeddings.token_type_embedding.weight            types  text
text_model.embeddings.layer_norm.weight                      text
text_model.embeddings.layer_norm.bias                        text
text_model.encoder.layers.TEXT.layer_norm1.weight            text
text_model.encoder.layers.TEXT.layer_norm1.bias              text
text_model.encoder.layers.TEXT.self_attn.k_proj.weight       text   text
text_model.encoder.layers.TEXT.self_attn.k_proj.bias         text
text_model.encoder.layers.TEXT.self_attn.v_proj.weight       text   text
text_model.encoder.layers.TEXT.self_attn.v_proj.bias         text
text_model.encoder.layers.TEXT.self_attn.q_proj.weight       text   text
text_model.encoder.layers.TEXT.self_attn.q_proj.bias         text
text_model.encoder.layers.TEXT.self_attn.out_proj.weight     text   text
text_model.encoder.layers.TEXT.self_attn.out_proj.bias       text
text_model.encoder.layers.TEXT.layer_norm2.weight            text
text_model.encoder.layers.TEXT.layer_norm2.bias              text
text_model.encoder.layers.TEXT.mlp.fc1.weight                text_inner text
text_model.encoder.layers.TEXT.mlp.fc1.bias                  text_inner
text_model.encoder.layers.TEXT.mlp.fc2.weight                text   text_inner
text_model.encoder.layers.TEXT.mlp.fc2.bias                  text
vision_model.embeddings.class_embedding                      vision
vision_model.embeddings.patch_embedding.weight               vision three patch patch
vision_model.embeddings.patch_embedding.bias                 vision
vision_model.embeddings.position_embedding.weight            tokens vision
vision_model.encoder.layers.VISION.layer_norm1.weight        vision
vision_model.encoder.layers.VISION.layer_norm1.bias          vision
vision_model.encoder.layers.VISION.self_attn.k_proj.weight   vision vision
vision_model.encoder.layers.VISION.self_attn.k_proj.bias     vision
vision_model.encoder.layers.VISION.self_attn.v_proj.weight   vision vision
vision_model.encoder.layers.VISION.self_attn.v_proj.bias     vision
vision_model.encoder.layers.VISION.self_attn.q_proj.weight   vision vision
vision_model.encoder.layers.VISION.self_attn.q_proj.bias     vision
vision_model.encoder.layers.VISION.self_attn.out_proj.weight vision vision
vision_model.encoder.layers.VISION.self_attn.out_proj.bias   vision
vision_model.encoder.layers.VISION.layer_norm2.weight        vision
vision_model.encoder.layers.VISION.layer_norm2.bias          vision
vision_model.encoder.layers.VISION.mlp.fc1.weight            vision_inner vision
vision_model.encoder.layers.VISION.mlp.fc1.bias              vision_inner
vision_model.encoder.layers.VISION.mlp.fc2.weight            vision vision_inner
vision_model.encoder.layers.VISION.mlp.fc2.bias              vision
vision_model.post_layernorm.weight                           vision
vision_model.post_layernorm.bias                             vision
visual_projection.weight                                     shared vision
text_projection.fc1.weight                                   middle text
text_projection.fc2.weight                                   shared middle
"""
PUBLISHED = {
    "words": 30522, "places": 512, "types": 2, "text": 768, "TEXT": 12, "text_inner": 3072,
    "three": 3, "patch": 16, "tokens": 197, "vision": 768, "VISION": 12, "vision_inner": 3072,
    "shared": 512, "middle": 640,
}  # fmt: skip
SMALL = PUBLISHED | {
    "text": 32, "TEXT": 2, "text_inner": 64, "tokens": 101, "vision": 64, "VISION": 6, "vision_inner": 192,
    "shared": 24, "middle": 28,
}  # fmt: skip
HEADS = 2


def shapes(sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Shape by name."""
    table = {}
    for line in LAYOUT.split("\n"):
        name, *axes = line.split() or [""]
        tower = next((tower for tower in ("TEXT", "VISION") if f".{tower}." in name), None)
        for block in range(sizes[tower]) if tower else [0]:
            table[name.replace(f".{tower}.", f".{block}.")] = tuple(sizes[axis] for axis in axes)
    del table[""]
    return table


def random_weights(sizes: dict[str, int]) -> Weights:
    """Every weight of its own, so that no two can be mistaken for each other; norms around 1."""
    generator = torch.Generator().manual_seed(3)

    def draw(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        center = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        return center + 0.3 * torch.randn(shape, generator=generator)

    return {name: draw(name, shape) for name, shape in shapes(sizes).items()}


class Port:
    """What the port computes, step by step."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def norm(self, x: torch.Tensor, name: str, epsilon: float) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return layer_norm(x, weight.shape, weight, bias, epsilon)

    def attend(self, x: torch.Tensor, layer: str, seen: torch.Tensor | None = None) -> torch.Tensor:
        """Multi-head attention of tokens (T, C) to the tokens that are seen (T,)."""
        query, key, value = (self.linear(x, f"{layer}.self_attn.{one}_proj") for one in "qkv")
        width = x.shape[1] // HEADS
        heads = []
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            scores = query[:, part] @ key[:, part].T / width**0.5
            if seen is not None:
                scores[:, ~seen] = -torch.inf
            heads.append(softmax(scores, -1) @ value[:, part])
        return self.linear(torch.cat(heads, 1), f"{layer}.self_attn.out_proj")

    def mlp(self, x: torch.Tensor, layer: str) -> torch.Tensor:
        return self.linear(gelu(self.linear(x, f"{layer}.mlp.fc1")), f"{layer}.mlp.fc2")

    def image(self, pixels: torch.Tensor, blocks: int, epsilon: float) -> torch.Tensor:
        """Embedding of an image (3, h, w); norms come before attention and perceptron."""
        name = "vision_model.embeddings.patch_embedding"
        kernel, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        patches = conv2d(pixels[None], kernel, bias, stride=kernel.shape[-1])[0].flatten(1).T
        x = torch.cat([self.weights["vision_model.embeddings.class_embedding"][None], patches])
        x = x + self.weights["vision_model.embeddings.position_embedding.weight"]
        for block in range(blocks):
            layer = f"vision_model.encoder.layers.{block}"
            x = x + self.attend(self.norm(x, f"{layer}.layer_norm1", epsilon), layer)
            x = x + self.mlp(self.norm(x, f"{layer}.layer_norm2", epsilon), layer)
        return self.linear(self.norm(x[0], "vision_model.post_layernorm", epsilon), "visual_projection")

    def text(self, tokens: torch.Tensor, blocks: int) -> torch.Tensor:
        """Embedding of token ids (L,); norms come after attention and perceptron."""
        name = "text_model.embeddings"
        x = embedding(tokens, self.weights[f"{name}.token_embedding.weight"])
        x = x + self.weights[f"{name}.position_embedding.weight"][: len(tokens)]
        x = x + self.weights[f"{name}.token_type_embedding.weight"][0]
        x = self.norm(x, f"{name}.layer_norm", 1e-12)
        for block in range(blocks):
            layer = f"text_model.encoder.layers.{block}"
            x = self.norm(x + self.attend(x, layer, tokens != 0), f"{layer}.layer_norm1", 1e-12)
            x = self.norm(x + self.mlp(x, layer), f"{layer}.layer_norm2", 1e-12)
        return self.linear(gelu(self.linear(x[0], "text_projection.fc1")), "text_projection.fc2")


@pytest.fixture
def finetuned(bert_folder: Path, tmp_path: Path) -> tuple[Weights, ClipModel]:
    """Weights in the port's layout, and the model that is loaded from a file of them."""
    weights = random_weights(SMALL)
    torch.save(weights, tmp_path / "pytorch_model.bin")
    return weights, load_clip(str(bert_folder), str(tmp_path / "pytorch_model.bin"))


def assert_equal(one: Weights, other: Weights) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize(
    ("epsilon", "near"), [(1e-6, 1e-5), (1e-12, 2e-4)], ids=["trained with", "the port's"]
)
def test_embeddings_are_the_port_s(finetuned: tuple[Weights, ClipModel], epsilon: float, near: float) -> None:
    weights, clip = finetuned
    port = Port(weights)
    images = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(4))
    tokens = clip.tokenize(["a benign tumor", "lesions"])
    with torch.no_grad():
        for image, row in zip(images, clip.encode_image(images), strict=True):
            torch.testing.assert_close(row, port.image(image, 6, epsilon), rtol=near, atol=near)
        for text, row in zip(tokens, clip.encode_text(tokens), strict=True):
            torch.testing.assert_close(row, port.text(text, 2), rtol=1e-5, atol=1e-5)
    assert clip.logit_scale == weights["logit_scale"]


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_the_reference_sees_each_part_of_attention(part: str) -> None:
    weights = random_weights(SMALL)
    pixels, tokens = torch.randn(3, 160, 160), torch.tensor([2, 5, 6, 3, 0])
    before = Port(weights).image(pixels, 6, 1e-6), Port(weights).text(tokens, 2)
    for tower in ("vision", "text"):
        weights[f"{tower}_model.encoder.layers.0.self_attn.{part}_proj.weight"].mul_(-1)
    after = Port(weights).image(pixels, 6, 1e-6), Port(weights).text(tokens, 2)
    assert all((one - other).abs().max() > 1e-2 for one, other in zip(before, after, strict=True))


def test_round_trips_are_equal_to_the_bit(finetuned: tuple[Weights, ClipModel]) -> None:
    weights, clip = finetuned
    state = clip.network.state_dict()
    assert_equal(to_huggingface(state), weights)
    assert_equal(from_huggingface(to_huggingface(state)), state)
    assert_equal(to_huggingface(from_huggingface(weights)), weights)


def test_layout_is_seen_by_its_names(finetuned: tuple[Weights, ClipModel]) -> None:
    weights, clip = finetuned
    assert is_huggingface(weights)
    assert not is_huggingface(clip.network.state_dict())


def test_a_folder_may_hold_the_port_s_file(
    bert_folder: Path, finetuned: tuple[Weights, ClipModel], tmp_path: Path, embeddings: Embed
) -> None:
    (bert_folder / "open_clip_model.safetensors").unlink()
    shutil.copyfile(tmp_path / "pytorch_model.bin", bert_folder / "pytorch_model.bin")
    for one, other in zip(embeddings(load_clip(str(bert_folder))), embeddings(finetuned[1]), strict=True):
        assert torch.equal(one, other)


def test_buffers_and_wrappers_of_the_port_are_put_aside(
    bert_folder: Path, finetuned: tuple[Weights, ClipModel], tmp_path: Path
) -> None:
    weights, clip = finetuned
    more = weights | {
        "vision_model.embeddings.position_ids": torch.arange(101)[None],
        "text_model.embeddings.position_ids": torch.arange(512)[None],
        "text_model.embeddings.token_type_ids": torch.zeros(1, 512, dtype=torch.long),
        "text.transformer.embeddings.position_ids": torch.arange(512)[None],
    }
    torch.save({f"model.{name}": value for name, value in more.items()}, tmp_path / "more.pt")
    again = load_clip(str(bert_folder), str(tmp_path / "more.pt"))
    assert_equal(dict(again.network.state_dict()), dict(clip.network.state_dict()))


def test_partial_weights_are_named(
    bert_folder: Path, finetuned: tuple[Weights, ClipModel], tmp_path: Path
) -> None:
    weights = dict(finetuned[0])
    del weights["vision_model.encoder.layers.1.self_attn.k_proj.bias"]
    weights["visual_projection.weight"] = torch.zeros(24, 63)
    weights["vision_model.pre_layrnorm.weight"] = torch.zeros(64)
    torch.save(weights, tmp_path / "partial.bin")
    with pytest.raises(UserError) as caught:
        load_clip(str(bert_folder), str(tmp_path / "partial.bin"))
    assert str(caught.value).split("\n")[1:] == [
        "  missing:",
        "    visual.trunk.blocks.1.attn.qkv.bias",
        "  unexpected:",
        "    vision_model.encoder.layers.1.self_attn.q_proj.bias",
        "    vision_model.encoder.layers.1.self_attn.v_proj.bias",
        "    vision_model.pre_layrnorm.weight",
        "  of another shape:",
        "    visual.head.proj.weight  (24, 63), network (24, 64)",
    ]


def test_exported_file_holds_the_port_s_weights_and_no_more(
    bert_folder: Path, finetuned: tuple[Weights, ClipModel], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "port"
    export(str(bert_folder), out, "huggingface", str(tmp_path / "pytorch_model.bin"))
    assert [path.name for path in out.iterdir()] == ["pytorch_model.bin"]
    stored = torch.load(out / "pytorch_model.bin", weights_only=True)
    assert_equal(stored, finetuned[0])
    storages = {value.untyped_storage().data_ptr() for value in stored.values()}
    assert len(storages) == len(stored)  # queries, keys and values are not three views of one


def test_other_networks_have_no_place(
    tiny_folder: Path, finetuned: tuple[Weights, ClipModel], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"built like BiomedCLIP .*no place for ln_final\.bias, "):
        save_huggingface(load_clip(str(tiny_folder)), tmp_path / "out")
    finetuned[1].model_cfg["text_cfg"]["hf_pooler_type"] = "mean_pooler"
    with pytest.raises(UserError, match="they end in token and mean_pooler"):
        save_huggingface(finetuned[1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_full_size(shared: Path, tmp_path: Path, embeddings: Embed) -> None:
    folder = str(shared / "models" / "biomedclip_config")
    clip = load_clip(folder, "random")
    save_huggingface(clip, tmp_path)
    stored = torch.load(tmp_path / "pytorch_model.bin", weights_only=True, mmap=True)
    assert {name: tuple(value.shape) for name, value in stored.items()} == shapes(PUBLISHED)
    again = load_clip(folder, str(tmp_path / "pytorch_model.bin"))
    assert_equal(dict(again.network.state_dict()), dict(clip.network.state_dict()))
    for one, other in zip(embeddings(again), embeddings(clip), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
