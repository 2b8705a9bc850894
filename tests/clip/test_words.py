from pathlib import Path

import open_clip
import pytest
import torch

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.word_tokens import NO_WORD, TokenizedText, tokenize_words
from medsam_exp.types import UserError


def assert_consistent(found: TokenizedText, ids: torch.Tensor) -> None:
    assert torch.equal(found.ids, ids)
    assert len(found.word_of) == len(found.pieces) == len(found.real) == len(ids)
    inside = [word for word in found.word_of if word != NO_WORD]
    assert inside == sorted(inside)
    assert set(inside) == set(range(len(found.words)))
    assert all(found.real[place] for place, word in enumerate(found.word_of) if word != NO_WORD)


def test_open_clip_s_byte_pairs() -> None:
    tokenizer = open_clip.SimpleTokenizer(context_length=20)
    text = "A hypoechoic, spiculated mass (3 mm)"
    found = tokenize_words(tokenizer, text)
    assert_consistent(found, tokenizer([text])[0])
    assert found.words == ("a", "hypoechoic", ",", "spiculated", "mass", "(", "3", "mm", ")")
    assert found.word_of.count(1) > 1  # hypoechoic has several pieces
    assert found.word_of[0] == NO_WORD
    assert int(found.real.sum()) == sum(word != NO_WORD for word in found.word_of) + 2
    assert found.pieces[0] == "<start_of_text>"


def test_open_clip_s_text_that_is_too_long_is_cut() -> None:
    tokenizer = open_clip.SimpleTokenizer(context_length=6)
    text = "one two three four five six"
    found = tokenize_words(tokenizer, text)
    assert_consistent(found, tokenizer([text])[0])
    assert found.words == ("one", "two", "three", "four")
    assert bool(found.real.all())


def test_empty_text() -> None:
    found = tokenize_words(open_clip.SimpleTokenizer(context_length=6), "")
    assert found.words == ()
    assert int(found.real.sum()) == 2


def test_word_pieces(bert_folder: Path) -> None:
    clip = load_clip(str(bert_folder))
    text = "Benign  lesions, a zebra"
    found = tokenize_words(clip.tokenizer, text)
    assert_consistent(found, clip.tokenize([text])[0])
    assert found.words == ("Benign", "lesions", ",", "a", "zebra")
    assert found.pieces[:8] == ("[CLS]", "benign", "lesion", "##s", "[UNK]", "a", "[UNK]", "[SEP]")
    assert found.word_of[:8] == (NO_WORD, 0, 1, 1, 2, 3, 4, NO_WORD)
    assert int(found.real.sum()) == 8


def test_byte_level_pieces(tiny_folder: Path) -> None:
    clip = load_clip(str(tiny_folder))
    text = "a scan of lesions"
    found = tokenize_words(clip.tokenizer, text)
    assert_consistent(found, clip.tokenize([text])[0])
    assert found.words == ("a", "scan", "of", "lesions")[: len(found.words)]
    assert len(found.words) >= 3


def test_the_embedded_clip() -> None:
    clip = load_clip("tiny")
    text = "ultrasound: a dark, spiculated mass"
    found = tokenize_words(clip.tokenizer, text)
    assert_consistent(found, clip.tokenize([text])[0])
    assert found.words == ("ultrasound", ":", "a", "dark", ",", "spiculated", "mass")


def test_a_tokenizer_that_knows_no_words_is_named() -> None:
    with pytest.raises(UserError, match="kind function"):
        tokenize_words(lambda texts: torch.zeros(len(texts), 4, dtype=torch.int64), "a")
