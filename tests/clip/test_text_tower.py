from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import nn

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.text_tower import text_tower
from medsam_exp.types import UserError
from tests.clip.conftest import OWN

LENGTHS = (16, 9, 4)
PLAIN = {"context_length": 16, "vocab_size": 50, "width": 32, "heads": 2, "layers": 4}
KINDS: dict[str, dict[str, Any]] = {
    "causal": PLAIN,
    "end of text": PLAIN | {"pool_type": "eos", "eos_id": 49},
    "both ways": PLAIN | {"no_causal_mask": True, "pool_type": "first"},
    "projection with bias": PLAIN | {"proj_bias": True, "ls_init_value": 0.5},
    "no projection": PLAIN | {"proj_type": "none", "width": 24},
}


def ids(pad: int = 0, end: int = 49) -> torch.Tensor:
    """Three texts of several lengths; the largest id ends each."""
    generator = torch.Generator().manual_seed(0)
    found = torch.full((len(LENGTHS), 16), pad)
    for row, length in enumerate(LENGTHS):
        found[row, : length - 1] = torch.randint(5, 40, (length - 1,), generator=generator)
        found[row, length - 1] = end
    return found


def network_of(text: dict[str, Any], *, own_text: bool) -> nn.Module:
    kind = open_clip.CustomTextCLIP if own_text else open_clip.CLIP
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = kind(embed_dim=24, vision_cfg=OWN, text_cfg=text).eval()
        for parameter in network.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    return network


def assert_split_is_whole(network: nn.Module, tokens: torch.Tensor, depth: int) -> None:
    encode: Callable[[torch.Tensor], torch.Tensor] = network.encode_text  # type: ignore[assignment]
    tower = text_tower(network)
    assert tower.depth == depth
    with torch.no_grad():
        whole = encode(tokens)
        assert (whole[0] - whole[1]).abs().max() > 0.01  # the texts matter
        for layer in range(-1, depth):
            hidden = tower.prefix(tokens, layer)
            assert hidden.shape[:2] == tokens.shape
            torch.testing.assert_close(tower.suffix(hidden, tokens, layer), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("own_text", [False, True], ids=["CLIP", "CustomTextCLIP"])
@pytest.mark.parametrize("kind", KINDS)
def test_prefix_then_suffix_is_the_whole_tower(kind: str, own_text: bool) -> None:
    assert_split_is_whole(network_of(KINDS[kind], own_text=own_text), ids(), 4)


def test_padding_mask() -> None:
    network: Any = network_of(PLAIN | {"no_causal_mask": True, "pool_type": "first"}, own_text=True)
    network.text.use_pad_mask = True
    assert_split_is_whole(network, ids(), 4)
    assert_padding_has_no_influence(network, ids())


def test_sequence_first_tower() -> None:
    network = network_of(PLAIN, own_text=False)
    transformer: Any = network.transformer
    transformer.batch_first = False
    for block in transformer.resblocks:
        block.attn.batch_first = False
    assert_split_is_whole(network, ids(), 4)


def assert_padding_has_no_influence(network: nn.Module, tokens: torch.Tensor) -> None:
    """What stands in the hidden states of padding changes no embedding."""
    tower = text_tower(network)
    with torch.no_grad():
        hidden = tower.prefix(tokens, 0)
        spoilt = torch.where((tokens == 0)[..., None], torch.full_like(hidden, 7.0), hidden)
        assert not torch.equal(spoilt, hidden)
        expected = tower.suffix(hidden, tokens, 0)
        torch.testing.assert_close(tower.suffix(spoilt, tokens, 0), expected, rtol=1e-5, atol=1e-5)


def test_a_causal_tower_reads_nothing_after_the_end() -> None:
    assert_padding_has_no_influence(network_of(PLAIN, own_text=False), ids())


def test_bert_with_its_attention_mask(bert_folder: Path) -> None:
    clip = load_clip(str(bert_folder))
    for parameter in clip.network.parameters():  # BERT starts with weights too small for texts to matter
        parameter.data.add_(
            torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)), alpha=0.1
        )
    tokens = clip.tokenize(["a benign breast tumor", "lesions", "a breast lesion a breast lesion a lesion"])
    assert (tokens == 0).any(dim=1).all()
    assert_split_is_whole(clip.network, tokens, 2)
    assert_padding_has_no_influence(clip.network, tokens)


def test_the_embedded_clip() -> None:
    clip = load_clip("tiny")
    assert_split_is_whole(clip.network, clip.tokenize(["a dark round mass", "a chest x-ray"]), 3)


def test_a_tower_that_cannot_be_split_is_named() -> None:
    with pytest.raises(UserError, match="kind TextTransformer"):
        text_tower(_with_class_token())


def _with_class_token() -> nn.Module:
    return network_of(PLAIN | {"embed_cls": True}, own_text=True)
