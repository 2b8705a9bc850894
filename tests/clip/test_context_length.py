"""Texts that are longer than a model reads: found by every tokenizer, with the place where reading stops."""

from pathlib import Path

import open_clip
import pytest
import torch

from medsam_exp.clip.context_length import count_tokens, cut_texts
from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import Tokenizer
from medsam_exp.data.phantom.pairs import PhantomPairs

LONG = " ".join(f"lesion number {n}," for n in range(90)) + " at the end"


@pytest.fixture(params=["openai", "bert", "tiny"])
def tokenizer(request: pytest.FixtureRequest, bert_folder: Path) -> Tokenizer:
    if request.param == "openai":
        return open_clip.SimpleTokenizer(context_length=77)
    return load_clip("tiny" if request.param == "tiny" else str(bert_folder)).tokenizer


def test_the_end_of_a_long_text_is_not_read_and_the_cut_says_where(tokenizer: Tokenizer) -> None:
    ((cut),) = cut_texts(tokenizer, ["a round lesion", LONG])
    context = tokenizer(["a"]).shape[1]
    assert (cut.text, cut.context) == (LONG, context)
    assert cut.tokens > context
    read = LONG[: LONG.index(cut.last_words) + len(cut.last_words)]
    assert count_tokens(tokenizer, read) <= context
    assert not cut_texts(tokenizer, [read])
    same = tokenizer([LONG, f"{read} {LONG[len(read) :].split()[0]} sitting on a chair"])
    assert torch.equal(same[0], same[1]), "what follows changes nothing"


def test_a_text_of_exactly_the_context_is_whole() -> None:
    tokenizer = open_clip.SimpleTokenizer(context_length=6)
    assert not cut_texts(tokenizer, ["one two three four"])
    (cut,) = cut_texts(tokenizer, ["one two three four five"])
    assert (cut.tokens, cut.last_words) == (7, "two three four")


def test_the_embedded_clip_reads_the_phantoms_texts_whole() -> None:
    pairs = PhantomPairs(seed=3, count=200)
    captions = [caption for pair_id in pairs.ids for caption in pairs.captions(pair_id)]
    assert cut_texts(load_clip("tiny").tokenizer, captions) == []
