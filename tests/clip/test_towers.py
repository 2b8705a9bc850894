from collections.abc import Callable

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock
from timm.models.vision_transformer import Block

from medsam_exp.clip import blocks
from medsam_exp.clip.capabilities import VisionLayout
from medsam_exp.clip.load import vision_layout
from medsam_exp.clip.model import ClipModel
from medsam_exp.types import UserError

KINDS = [
    "open_clip",
    "open_clip_average",
    "open_clip_custom_blocks",
    "open_clip_layer_scale",
    "timm_cls",
    "timm_average_registers",
    "timm_attention_pool",
]


def images(clip: ClipModel, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, clip.image_size, clip.image_size, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_prefix_then_suffix_is_the_whole_tower(make_clip: Callable[..., ClipModel], kind: str) -> None:
    clip = make_clip(kind)
    batch = images(clip)
    with torch.no_grad():
        whole = clip.encode_image(batch)
        assert clip.depth >= 4
        for layer in range(clip.depth):
            tokens = clip.vision_prefix(batch, layer)
            assert tokens.shape[1] == clip.prefix_tokens + clip.grid[0] * clip.grid[1]
            torch.testing.assert_close(clip.vision_suffix(tokens, layer), whole, rtol=1e-5, atol=1e-5)
        if not clip.layout.reads_class_token:
            pooled, paid = clip.pooled(tokens)
            torch.testing.assert_close(pooled, whole, rtol=1e-5, atol=1e-5)
            assert (paid is not None) == (kind == "timm_attention_pool")


def test_quick_gelu_model(make_clip: Callable[..., ClipModel]) -> None:
    clip, plain = make_clip("open_clip", quick_gelu=True), make_clip("open_clip")
    batch = images(clip)
    with torch.no_grad():
        whole = clip.encode_image(batch)
        assert not torch.allclose(whole, plain.encode_image(batch), atol=1e-3)  # the activation matters here
        torch.testing.assert_close(clip.vision_suffix(clip.vision_prefix(batch, 1), 1), whole)


def test_sequence_first_tower(make_clip: Callable[..., ClipModel]) -> None:
    clip = make_clip("open_clip")
    batch = images(clip)
    with torch.no_grad():
        expected = clip.encode_image(batch)
        clip.network.visual.transformer.batch_first = False
        for block in clip.network.visual.transformer.resblocks:
            block.attn.batch_first = False
        whole = clip.encode_image(batch)
        torch.testing.assert_close(whole, expected)
        torch.testing.assert_close(clip.vision_suffix(clip.vision_prefix(batch, 1), 1), whole)


@pytest.mark.parametrize("kind", ["open_clip", "timm_cls"])
def test_last_block_is_computed_for_cls_alone(
    make_clip: Callable[..., ClipModel], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(kind)
    calls: list[torch.nn.Module] = []
    for block in (Block, ResidualAttentionBlock):
        original = block.forward
        monkeypatch.setattr(
            block,
            "forward",
            lambda self, *a, _original=original, **k: calls.append(self) or _original(self, *a, **k),
        )
    with torch.no_grad():
        tokens = clip.vision_prefix(images(clip), 1)
        calls.clear()
        clip.vision_suffix(tokens, 1)
    assert len(calls) == clip.depth - 3  # blocks 2 .. depth - 2


@pytest.mark.parametrize("options", [{}, {"qkv_bias": True, "qk_norm": True, "scale_attn_norm": True}])
def test_timm_block_for_cls_in_double_precision(options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    block = Block(32, 4, init_values=0.3, **options).double().eval()
    tokens = torch.randn(3, 9, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(
            blocks.for_cls(block, tokens), block(tokens)[:, :1], rtol=1e-12, atol=1e-12
        )


def test_open_clip_block_for_cls_in_double_precision() -> None:
    torch.manual_seed(0)
    block = ResidualAttentionBlock(32, 4, ls_init_value=0.3).double().eval()
    tokens = torch.randn(3, 9, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = block(tokens)[:, :1]
        torch.testing.assert_close(blocks.for_cls(block, tokens), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "block",
    [
        Block(32, 4, init_values=0.3),
        Block(32, 4, init_values=0.3, qkv_bias=True, qk_norm=True, scale_attn_norm=True),
        ResidualAttentionBlock(32, 4, ls_init_value=0.3),
    ],
    ids=["timm", "timm_norms", "open_clip"],
)
def test_by_the_value_path_each_token_is_alone(block: Block | ResidualAttentionBlock) -> None:
    block.double().eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    tokens = torch.randn(3, 9, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        alone = torch.cat([block(tokens[:, [place]]) for place in range(9)], dim=1)
        torch.testing.assert_close(blocks.value_path(block, tokens), alone, rtol=1e-12, atol=1e-12)
        assert not torch.allclose(alone, block(tokens), rtol=1e-3)


@pytest.mark.parametrize("kind", ["open_clip", "timm_cls"])
def test_gradients_through_the_suffix_equal_those_of_plain_blocks(
    make_clip: Callable[..., ClipModel], kind: str
) -> None:
    clip = make_clip(kind)
    with torch.no_grad():
        tokens = clip.vision_prefix(images(clip), 1)
    tokens.requires_grad_()
    short = torch.autograd.grad(clip.vision_suffix(tokens, 1).square().sum(), tokens)[0]

    visual = clip.network.visual
    blocks = visual.trunk.blocks if kind == "timm_cls" else visual.transformer.resblocks
    through = tokens
    for block in blocks[2:]:
        through = block(through)
    if kind == "timm_cls":
        embedding = visual.head(visual.trunk.norm(through)[:, 0])
    else:
        embedding = visual.ln_post(through)[:, 0] @ visual.proj
    plain = torch.autograd.grad(embedding.square().sum(), tokens)[0]
    torch.testing.assert_close(short, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"qkv_bias": True, "qk_norm": True, "scale_attn_norm": True}])
@pytest.mark.parametrize("kind", ["timm", "open_clip"])
def test_attention_of_a_block(kind: str, options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(3, 9, 32, dtype=torch.float64)
    block: torch.nn.Module
    if kind == "timm":
        block = Block(32, 4, init_values=0.3, **options).double().eval()
        after, paid = blocks.with_attention(block, tokens)
    else:
        block = ResidualAttentionBlock(32, 4, ls_init_value=0.3).double().eval()
        after, paid = blocks.with_attention(block, tokens)
        normed = block.ln_1(tokens)
        expected = block.attn(normed, normed, normed, average_attn_weights=False)[1]
        torch.testing.assert_close(paid, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(after, block(tokens), rtol=1e-12, atol=1e-12)
    assert paid.shape == (3, 4, 9, 9)
    torch.testing.assert_close(paid.sum(-1), torch.ones(3, 4, 9, dtype=torch.float64))
    gradient = torch.autograd.grad(after.square().sum(), paid)[0]
    assert bool((gradient != 0).any())


ATTENTION_POOL = {
    "image_size": 32,
    "patch_size": 8,
    "width": 32,
    "head_width": 16,
    "layers": 2,
    "attentional_pool": True,
}
MAPS: dict[str, dict[str, object]] = {
    "ModifiedResNet": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 8, "head_width": 16},
    "ResNet": {"timm_model_name": "test_resnet", "timm_pool": "avg", "image_size": 64},
    "EfficientNet": {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "image_size": 64},
    "ConvNeXt": {"timm_model_name": "test_convnext", "timm_proj": "mlp", "timm_pool": "", "image_size": 96},
}


@pytest.mark.parametrize("kind", MAPS)
def test_a_convolutional_tower_is_split_at_its_maps(make_clip: Callable[..., ClipModel], kind: str) -> None:
    clip = make_clip(MAPS[kind])
    batch = images(clip)
    assert clip.layout.kind == kind
    assert clip.layout.capabilities == {"features"}
    with torch.no_grad():
        whole = clip.encode_image(batch)
        for layer in range(clip.depth):
            tokens = clip.vision_prefix(batch, layer)
            assert tokens.shape[1] == clip.grid_after(layer)[0] * clip.grid_after(layer)[1]
            torch.testing.assert_close(clip.vision_suffix(tokens, layer), whole, rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match=f"needs a plain vision transformer.*{kind}"):
        clip.vision_attention(batch)


def test_the_map_of_a_convolutional_tower_is_read_row_by_row(make_clip: Callable[..., ClipModel]) -> None:
    clip = make_clip(MAPS["ModifiedResNet"])
    visual, batch = clip.network.visual, images(clip)
    with torch.no_grad():
        features = visual.layer1(visual.stem(batch))
        tokens = clip.vision_prefix(batch, 0)
    assert clip.grid_after(0) == (16, 16)
    assert torch.equal(tokens[1, 16 * 3 + 5], features[1, :, 3, 5])


def test_a_tower_with_attentional_pooling_encodes_but_refuses_to_split(
    make_clip: Callable[..., ClipModel],
) -> None:
    clip = make_clip(ATTENTION_POOL)
    assert clip.depth == 0
    with torch.no_grad():
        assert len(clip.encode_image(images(clip))) == 2
    said = "can be split.*kind VisionTransformer with attentional pooling"
    with pytest.raises(UserError, match=said):
        clip.vision_prefix(images(clip), 0)
    with pytest.raises(UserError, match=said):
        clip.vision_suffix(torch.zeros(1, 17, 32), 0)
    with pytest.raises(UserError, match=said):
        clip.vision_attention(images(clip))


@pytest.mark.parametrize("kind", ["open_clip", "open_clip_average", "timm_cls", "timm_average_registers"])
def test_attention_belongs_to_the_embedding(make_clip: Callable[..., ClipModel], kind: str) -> None:
    clip = make_clip(kind)
    batch = images(clip)
    embedding, attention = clip.vision_attention(batch)
    torch.testing.assert_close(embedding, clip.encode_image(batch), rtol=1e-4, atol=1e-5)
    tokens = clip.prefix_tokens + clip.grid[0] * clip.grid[1]
    assert [paid.shape[2:] for paid in attention] == [(tokens, tokens)] * clip.depth


@pytest.mark.parametrize("kind", ["open_clip_custom_blocks", "timm_attention_pool"])
def test_other_attention_is_refused(make_clip: Callable[..., ClipModel], kind: str) -> None:
    clip = make_clip(kind)
    with pytest.raises(UserError, match="needs a plain vision transformer that reads"):
        clip.vision_attention(images(clip))


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_useful_layer_is_where_patches_still_reach_the_embedding(
    make_clip: Callable[..., ClipModel], kind: str
) -> None:
    clip = make_clip(kind)
    reaches = []
    for layer in range(clip.depth):
        tokens = clip.vision_prefix(images(clip), layer).detach().requires_grad_()
        gradient = torch.autograd.grad(clip.vision_suffix(tokens, layer).sum(), tokens)[0]
        reaches.append(bool((gradient[:, clip.prefix_tokens :] != 0).any()))
    assert reaches == [layer <= clip.layout.last_layer for layer in range(clip.depth)]
    assert clip.patch_layer(None) == clip.layout.last_layer
    for bad in {-1, clip.depth, *range(clip.layout.last_layer + 1, clip.depth)}:
        with pytest.raises(UserError, match=rf"layer {bad} is asked for \(saliency.layer\)"):
            clip.patch_layer(bad)


@pytest.mark.parametrize(
    ("model", "kind", "depth", "last_layer", "attention"),
    [
        ("ViT-B-32", "VisionTransformer", 12, 10, True),
        ("ViT-B-16-SigLIP", "VisionTransformer", 12, 11, False),
        ("MobileCLIP-B", "VisionTransformer", 12, 10, True),
        ("RN50", "ModifiedResNet", 4, 3, False),
        ("convnext_base", "ConvNeXt", 1, 0, False),
        ("EVA02-B-16", "Eva", 0, -1, False),
        ("coca_ViT-B-32", "VisionTransformer with attentional pooling", 0, -1, False),
        ("tiny", "VisionTransformer", 6, 5, True),
    ],
)
def test_layout_of_known_networks_without_weights(
    model: str, kind: str, depth: int, last_layer: int, attention: bool
) -> None:
    layout = vision_layout(model)
    assert (layout.kind, layout.depth, layout.last_layer) == (kind, depth, last_layer)
    assert ("attention" in layout.capabilities) == attention


@pytest.mark.parametrize("layer", [-1, 4])
def test_layer_outside_the_tower(make_clip: Callable[..., ClipModel], layer: int) -> None:
    clip = make_clip("open_clip")
    with pytest.raises(UserError, match=f"layer {layer} .* 4 layers, counted from 0 to 3"):
        clip.vision_prefix(images(clip), layer)


@pytest.mark.parametrize("kind", ["timm", "open_clip"])
def test_a_block_in_half_precision_and_its_gradient(kind: str) -> None:
    torch.manual_seed(0)
    block = Block(32, 4, qkv_bias=True) if kind == "timm" else ResidualAttentionBlock(32, 4)
    block.eval().requires_grad_(False)
    tokens, weights = torch.randn(2, 3, 9, 32)
    found, expected = [], []
    for answers, forward in ((expected, block), (found, lambda given: blocks.through(block, given))):
        with torch.autocast("cpu", torch.bfloat16, enabled=answers is found):
            given = tokens.clone().requires_grad_()
            after = forward(given)
            answers += [after.detach(), torch.autograd.grad((after * weights).sum(), given)[0]]
    for one, other in zip(found, expected, strict=True):
        assert not torch.equal(one, other)
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("depth", "last_layer", "expected"),
    [(12, 10, 9), (12, 11, 9), (24, 22, 18), (27, 26, 20), (3, 1, 1), (1, 0, 0), (0, -1, 0)],
)
def test_saliency_looks_three_quarters_down(depth: int, last_layer: int, expected: int) -> None:
    assert VisionLayout("any", depth, last_layer).three_quarters == expected
