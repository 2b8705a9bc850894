import copy

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention, ImageEncoderViT

from medsam_exp.sam import attention as module
from medsam_exp.sam.attention import FusedAttention, use_fused_attention


def random_attention(dim: int, heads: int, size: tuple[int, int]) -> Attention:
    attention = Attention(dim, heads, use_rel_pos=True, input_size=size)
    torch.nn.init.normal_(attention.rel_pos_h)
    torch.nn.init.normal_(attention.rel_pos_w)
    return attention


@pytest.mark.parametrize("size", [(14, 14), (16, 16), (5, 9), (1, 1)])
@pytest.mark.parametrize("count", [1, 3])
def test_equals_the_original(size: tuple[int, int], count: int) -> None:
    torch.manual_seed(0)
    original = random_attention(48, 3, size)
    x = torch.randn(count, *size, 48)
    with torch.no_grad():
        torch.testing.assert_close(FusedAttention(original)(x), original(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("table", ["rel_pos_h", "rel_pos_w"])
def test_positions_matter_in_both_directions(table: str) -> None:
    torch.manual_seed(0)
    original = random_attention(48, 3, (6, 8))
    x = torch.randn(2, 6, 8, 48)
    with torch.no_grad():
        before = FusedAttention(original)(x)
        getattr(original, table).zero_()
        assert (FusedAttention(original)(x) - before).abs().max() > 1e-2


@pytest.mark.parametrize("block_bytes", [1, 20_000, 10**9])
def test_the_size_of_the_blocks_changes_nothing(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    original = random_attention(48, 3, (7, 9))
    x = torch.randn(2, 7, 9, 48)
    monkeypatch.setattr(module, "BIAS_BYTES", block_bytes)
    with torch.no_grad():
        torch.testing.assert_close(FusedAttention(original)(x), original(x), rtol=0, atol=1e-5)


def test_the_blocks_bound_the_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    genuine = module.scaled_dot_product_attention

    def spy(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, attn_mask: torch.Tensor) -> torch.Tensor:
        held.append(attn_mask.numel() * attn_mask.element_size())
        return genuine(q, k, v, attn_mask=attn_mask)

    monkeypatch.setattr(module, "scaled_dot_product_attention", spy)
    monkeypatch.setattr(module, "BIAS_BYTES", 100_000)
    with torch.no_grad():
        FusedAttention(random_attention(32, 2, (16, 16)))(torch.randn(1, 16, 16, 32))
    assert len(held) > 1
    assert max(held) <= 100_000 * torch.get_num_threads()
    assert sum(held) == 2 * 256 * 256 * 4


def test_images_of_a_batch_get_the_bits_that_they_get_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BIAS_BYTES", 60_000)  # less than one head of one image
    attention = FusedAttention(random_attention(32, 2, (16, 8)))
    x = torch.randn(3, 16, 8, 32)
    with torch.no_grad():
        assert torch.equal(attention(x), torch.cat([attention(one[None]) for one in x]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(5, 7), (16, 16)])
@pytest.mark.parametrize("by_products", [False, True])
def test_half_precision_rounds_the_original(
    dtype: torch.dtype, size: tuple[int, int], by_products: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_amx", lambda: not by_products)
    monkeypatch.setattr(module, "LONG", 30)
    monkeypatch.setattr(module, "PRODUCT_QUERIES", 24)
    torch.manual_seed(0)
    original = random_attention(48, 3, size).to(dtype)
    x = torch.randn(2, *size, 48).to(dtype)
    exact = copy.deepcopy(original).float()
    with torch.no_grad():
        expected, plain, ours = exact(x.float()), original(x).float(), FusedAttention(original)(x).float()
    assert (ours - expected).abs().mean() <= 1.2 * (plain - expected).abs().mean()


def test_products_have_the_gradients_of_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRODUCT_QUERIES", 24)
    torch.manual_seed(0)
    fused = FusedAttention(random_attention(48, 3, (6, 8)))
    inputs = [torch.randn(2, 3, 48, 16, requires_grad=True) for _ in range(3)]
    biases = [torch.randn(2, 3, 6, 8, n, requires_grad=True) for n in (6, 8)]
    weights = torch.randn(2, 48, 3, 16)
    gradients = [
        torch.autograd.grad((attend(*inputs, *biases) * weights).sum(), [*inputs, *biases])
        for attend in (fused._in_blocks, module._by_products)
    ]
    for expected, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_gradients_equal_the_original() -> None:
    torch.manual_seed(0)
    original = random_attention(48, 3, (6, 8))
    ours = FusedAttention(copy.deepcopy(original))
    x = torch.randn(2, 6, 8, 48)
    weights = torch.randn(2, 6, 8, 48)
    for attention in (original, ours):
        (attention(x) * weights).sum().backward()
    expected = dict(original.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [64, 96])
def test_an_encoder_keeps_its_names_and_its_output(side: int) -> None:
    """96 px give a 6 x 6 grid, which windows of 4 must pad."""
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=side, patch_size=16, embed_dim=32, depth=2, num_heads=2, out_chans=16,
        use_rel_pos=True, window_size=4, global_attn_indexes=(1,),
    )  # fmt: skip
    for name, parameter in encoder.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(parameter)
    images, names = torch.randn(2, 3, side, side), list(encoder.state_dict())
    with torch.no_grad():
        expected = encoder(images)
        use_fused_attention(encoder)
        assert all(isinstance(block.attn, FusedAttention) for block in encoder.blocks)
        torch.testing.assert_close(encoder(images), expected, rtol=0, atol=1e-5)
    assert list(encoder.state_dict()) == names
