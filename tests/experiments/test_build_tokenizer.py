"""The tiny CLIP's tokenizer and description: as built, complete for any text, usable by open_clip."""

import json
import socket
from collections.abc import Callable

import open_clip
import pytest
import torch
from tokenizers import Tokenizer

from experiments.tiny_weights.build_tokenizer import CONTEXT_LENGTH, FOLDER, SPECIAL, build, describe
from medsam_exp.data.phantom.pairs import PhantomPairs

Tokenize = Callable[[list[str]], torch.Tensor]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build()


@pytest.fixture(scope="module")
def tokenize() -> Tokenize:
    """open_clip's own way to the tokenizer, with the network cut off."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        return open_clip.get_tokenizer(f"local-dir:{FOLDER}")


def test_the_package_holds_what_the_command_builds(tokenizer: Tokenizer):
    packaged = json.loads((FOLDER / "tokenizer.json").read_text())
    assert packaged["model"] == json.loads(tokenizer.to_str())["model"], "run build_tokenizer and train again"
    assert json.loads((FOLDER / "open_clip_config.json").read_text()) == describe(tokenizer)


def test_the_vocabulary_is_small(tokenizer: Tokenizer):
    assert tokenizer.get_vocab_size() <= 4096


@pytest.mark.parametrize(
    "text",
    ["glioma", "zxqj!", "läsion, größe 3×4 mm", "肿瘤", "опухоль", "ورم", "🙂", "tab\tand  spaces", ""],
)
def test_no_text_is_unknown(tokenizer: Tokenizer, text: str):
    """Every text can be read back from its tokens, so nothing of it was lost."""
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text.strip()


@pytest.mark.parametrize(
    "word", ["tumor", "breast", "glioma", "meningioma", "lung", "covid-19", "hypoechoic"]
)
def test_words_of_radiology_are_short(tokenizer: Tokenizer, word: str):
    assert len(tokenizer.encode(word, add_special_tokens=False).ids) <= 3


def test_case_does_not_matter(tokenize: Tokenize):
    upper, lower = tokenize(["Breast TUMOR", "breast tumor"])
    assert torch.equal(upper, lower)


def test_every_text_starts_ends_and_is_padded(tokenizer: Tokenizer, tokenize: Tokenize):
    tokens = tokenize(["a cyst", "", "ground glass opacity " * 30])
    ids = {name: tokenizer.token_to_id(token) for name, token in SPECIAL.items()}
    assert tokens.shape == (3, CONTEXT_LENGTH)
    assert (tokens[:, 0] == ids["bos_token"]).all()
    assert ((tokens == ids["eos_token"]).sum(1) == 1).all(), "also where a long text was cut"
    ends = (tokens == ids["eos_token"]).int().argmax(1)
    for row, end in zip(tokens, ends, strict=True):
        assert (row[end + 1 :] == ids["pad_token"]).all()
        assert not (row[:end] == ids["pad_token"]).any()


def test_no_caption_of_a_drawn_scan_is_cut(tokenizer: Tokenizer):
    pairs = PhantomPairs(seed=3, count=100)
    captions = [caption for pair_id in pairs.ids for caption in pairs.captions(pair_id)]
    assert max(len(row.ids) for row in tokenizer.encode_batch(captions)) <= CONTEXT_LENGTH


def test_the_text_tower_reads_the_end_token_and_no_padding(tokenize: Tokenize):
    config = json.loads((FOLDER / "open_clip_config.json").read_text())["model_cfg"]
    torch.manual_seed(0)
    network = open_clip.CLIP(**config).eval()
    tokens = tokenize(["a dark round mass", "a bright round mass"])
    end = int((tokens[0] == config["text_cfg"]["eos_id"]).int().argmax())
    repadded, reworded = tokens.clone(), tokens.clone()
    repadded[:, end + 1 :] = 7
    reworded[:, end - 1] = 7
    with torch.no_grad():
        plain, other_padding, other_word = (network.encode_text(x) for x in (tokens, repadded, reworded))
    assert torch.allclose(plain, other_padding, atol=1e-6)
    assert not torch.allclose(plain[0], plain[1], atol=1e-4)
    assert not torch.allclose(plain, other_word, atol=1e-4)


def test_the_network_is_tiny():
    config = json.loads((FOLDER / "open_clip_config.json").read_text())["model_cfg"]
    with torch.device("meta"):
        network = open_clip.CLIP(**config)
    assert sum(parameter.numel() for parameter in network.parameters()) <= 3.2e6
