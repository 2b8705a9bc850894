from collections.abc import Callable

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock
from timm.models.vision_transformer import Block

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.towers import open_clip_block_for_cls, timm_block_for_cls
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
            timm_block_for_cls(block, tokens), block(tokens)[:, :1], rtol=1e-12, atol=1e-12
        )


def test_open_clip_block_for_cls_in_double_precision() -> None:
    torch.manual_seed(0)
    block = ResidualAttentionBlock(32, 4, ls_init_value=0.3).double().eval()
    tokens = torch.randn(3, 9, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = block(tokens)[:, :1]
        torch.testing.assert_close(open_clip_block_for_cls(block, tokens), expected, rtol=1e-12, atol=1e-12)


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


@pytest.mark.parametrize(
    ("vision", "said"),
    [
        ({"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}, "ModifiedResNet"),
        ({"timm_model_name": "test_resnet", "timm_pool": "avg", "image_size": 64}, "ResNet"),
        (
            {
                "image_size": 32,
                "patch_size": 8,
                "width": 32,
                "head_width": 16,
                "layers": 2,
                "attentional_pool": True,
            },
            "attentional pooling",
        ),
    ],
)
def test_other_towers_encode_but_refuse_to_split(
    make_clip: Callable[..., ClipModel], vision: dict[str, object], said: str
) -> None:
    clip = make_clip(vision)
    assert clip.depth == 0
    with torch.no_grad():
        assert len(clip.encode_image(images(clip))) == 2
    with pytest.raises(UserError, match=f"{said}.*timm VisionTransformer"):
        clip.vision_prefix(images(clip), 0)
    with pytest.raises(UserError, match=f"{said}.*timm VisionTransformer"):
        clip.vision_suffix(torch.zeros(1, 17, 32), 0)


@pytest.mark.parametrize("layer", [-1, 4])
def test_layer_outside_the_tower(make_clip: Callable[..., ClipModel], layer: int) -> None:
    clip = make_clip("open_clip")
    with pytest.raises(UserError, match=f"layer {layer} .* 4 layers, counted from 0 to 3"):
        clip.vision_prefix(images(clip), layer)
