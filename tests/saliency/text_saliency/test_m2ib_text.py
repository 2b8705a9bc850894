from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.word_tokens import tokenize_words
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.saliency.bottleneck import draw_noise
from medsam_exp.saliency.text_saliency.m2ib_text import M2IBText
from medsam_exp.types import UserError

VISION = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 4}
METHOD = M2IBText(layer=1, beta=0.5, steps=4, noise_samples=3)
TEXTS = ["a dark hypoechoic mass", "benign", "a bright round lesion in the upper left of the image today"]


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    """Random weights, large enough that words matter."""
    cfg: dict[str, Any] = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = open_clip.CLIP(**cfg).eval()
        for parameter in network.transformer.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        network.token_embedding.weight.data.normal_()
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    return ClipModel(network, tokenizer, cfg, mean=[0.5] * 3, std=[0.25] * 3, saliency_layer=1).eval()


def inputs(clip: ClipModel, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    tokenized = [tokenize_words(clip.tokenizer, text) for text in texts]
    image = torch.randn(len(TEXTS), 24, generator=torch.Generator().manual_seed(1))
    rows = [TEXTS.index(text) for text in texts]
    return torch.stack([t.ids for t in tokenized]), torch.stack([t.real for t in tokenized]), image[rows]


def relevance(clip: ClipModel, method: M2IBText, texts: list[str], seed: int = 0) -> Tensor:
    ids, real, image = inputs(clip, texts)
    return method(clip, ids, real, image, [torch_generator(seed, text) for text in texts])


def slow_relevance(clip: ClipModel, method: M2IBText, text: str, image: Tensor) -> Tensor:
    """One text of its own length, without padding, by hooks on the whole network at every step."""
    network: Any = clip.network
    found = tokenize_words(clip.tokenizer, text)
    length = int(found.real.sum())
    state: dict[str, Tensor] = {}
    block = network.transformer.resblocks[method.layer]
    keep = block.register_forward_hook(lambda _m, _i, out: state.update(signal=out.detach()))
    network.encode_text(found.ids[None])
    keep.remove()
    signal = state["signal"][0, :length]
    alpha = torch.full_like(signal, 5.0, requires_grad=True)
    optimizer = torch.optim.Adam([alpha], lr=method.lr)
    generator = torch_generator(0, text)

    def information() -> Tensor:
        kept = torch.sigmoid(alpha)
        mean, variance = kept * signal, (1 - kept) ** 2
        return -0.5 * (1 + torch.log(variance) - mean**2 - variance)

    for _ in range(method.steps - 1):
        noise = draw_noise([generator], (method.noise_samples, 16, 32), "cpu")[0, :, :length]
        total = torch.zeros(())
        for sample in noise:
            kept = torch.sigmoid(alpha)
            mixed = torch.cat([kept * signal + (1 - kept) * sample, state["signal"][0, length:]])
            put = block.register_forward_hook(lambda _m, _i, _o, mixed=mixed: mixed[None])
            embedding = network.encode_text(found.ids[None])[0]
            put.remove()
            total = total + cosine_similarity(embedding, image, dim=0) / method.noise_samples
        alpha.grad = torch.autograd.grad(method.beta * information().mean() - total, alpha)[0]
        optimizer.step()
    whole = torch.zeros(16)
    whole[:length] = information().sum(-1).detach()
    return whole


@pytest.mark.parametrize("text", TEXTS)
def test_equals_a_slow_run_with_hooks_and_without_padding(clip: ClipModel, text: str) -> None:
    _, real, image = inputs(clip, [text])
    expected = slow_relevance(clip, METHOD, text, image[0])
    found = relevance(clip, METHOD, [text])[0]
    assert found[real[0]].std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_texts_do_not_influence_each_other(clip: ClipModel) -> None:
    together = relevance(clip, METHOD, TEXTS)
    for row, text in zip(together, TEXTS, strict=True):
        torch.testing.assert_close(relevance(clip, METHOD, [text])[0], row, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(relevance(clip, METHOD, TEXTS[::-1]), together.flip(0), rtol=1e-4, atol=1e-4)


def test_seeds(clip: ClipModel) -> None:
    assert torch.equal(relevance(clip, METHOD, TEXTS), relevance(clip, METHOD, TEXTS))
    assert not torch.allclose(relevance(clip, METHOD, TEXTS), relevance(clip, METHOD, TEXTS, seed=1))


def test_more_compression_leaves_less(clip: ClipModel) -> None:
    left = [
        relevance(clip, M2IBText(layer=1, beta=beta, steps=10), TEXTS).sum() for beta in (0.01, 1.0, 100.0)
    ]
    assert left[0] > left[1] > left[2] > 0


def test_without_a_layer_it_is_three_quarters_up(clip: ClipModel) -> None:
    automatic = relevance(clip, M2IBText(layer=None, beta=0.5, steps=3), TEXTS)
    assert torch.equal(automatic, relevance(clip, M2IBText(layer=2, beta=0.5, steps=3), TEXTS))
    assert not torch.allclose(automatic, relevance(clip, M2IBText(layer=1, beta=0.5, steps=3), TEXTS))


def test_after_the_last_block_only_the_token_that_is_read_keeps_what_it_has(clip: ClipModel) -> None:
    """Why the automatic layer stops before it."""
    _, real, _ = inputs(clip, TEXTS)
    last = relevance(clip, M2IBText(layer=3, beta=1.0, steps=10), TEXTS)
    for row, length in zip(last, real.sum(1).tolist(), strict=True):
        assert row.argmax() == length - 1


def test_bad_settings_are_named(clip: ClipModel) -> None:
    with pytest.raises(UserError, match="steps=1"):
        M2IBText(layer=1, beta=0.1, steps=1)
    with pytest.raises(UserError, match=r"text_saliency\.layer=4, but the text tower has 4 layers"):
        relevance(clip, M2IBText(layer=4, beta=0.1), TEXTS)


def test_the_model_is_given_back_as_it_was(clip: ClipModel) -> None:
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    wanting = [parameter.requires_grad for parameter in clip.parameters()]
    clip.train()
    relevance(clip, METHOD, TEXTS)
    assert clip.training
    clip.eval()
    assert [parameter.requires_grad for parameter in clip.parameters()] == wanting
    assert all(parameter.grad is None for parameter in clip.parameters())
    assert all(torch.equal(value, before[name]) for name, value in clip.state_dict().items())
