from collections.abc import Sequence
from functools import partial

import numpy as np
import open_clip
import pytest
import torch
from torch import Tensor

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.word_tokens import tokenize_words
from medsam_exp.training.prediction import PredictModule, batch_loader, read_images
from medsam_exp.training.text_saliency import TextRelevance, TextSaliency, merge_words

TEXTS = {
    "s0": ("a dark mass",),
    "s1": ("a lesion", "a hypoechoic mass", "no finding"),
    "s2": ("a dark mass", "a dark mass"),
}


class Scans:
    def read_image(self, sample_id: str) -> np.ndarray:
        return np.full((20, 31, 3), int(sample_id[1:]) * 40, np.uint8)


def first_noise(
    clip: torch.nn.Module, ids: Tensor, real: Tensor, image: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """A method that shows which text and which generator it was given."""
    drawn = torch.stack([torch.rand(1, generator=generator) for generator in generators])
    return (ids + drawn) * real


@pytest.fixture
def relevance(make_trainer):
    def run(ids: tuple[str, ...], batch_size: int = 2) -> dict[str, list[TextRelevance]]:
        found: dict[str, list[TextRelevance]] = {}
        clip = load_clip("tiny")
        module = PredictModule(clip, TextSaliency(clip, first_noise, TEXTS, 0), found.__setitem__)
        read = partial(read_images, Scans().read_image, clip.preprocess, batch_size)
        loader = batch_loader(ids, read, batch_size=batch_size, threads=0)
        make_trainer().predict(module, loader, return_predictions=False)
        return found

    return run


def test_every_text_of_every_image_has_its_words(relevance) -> None:
    found = relevance(tuple(TEXTS))
    assert {name: tuple(one.text for one in texts) for name, texts in found.items()} == TEXTS
    for texts in found.values():
        for one in texts:
            assert len(one.words) == len(one.relevance) > 0
            assert sum(one.relevance) == pytest.approx(sum(one.token_relevance))
    first, second = found["s2"]
    assert first.words == second.words
    assert first.relevance != second.relevance  # the same words, but noise of their own


def test_batches_and_order_change_nothing(relevance) -> None:
    whole = relevance(tuple(TEXTS))
    assert relevance(tuple(TEXTS)[::-1]) == whole
    assert relevance(tuple(TEXTS), batch_size=3) == whole
    assert relevance(("s1",)) == {"s1": whole["s1"]}


def test_pieces_add_up_to_words() -> None:
    text = "hypoechoic mass"
    tokenized = tokenize_words(open_clip.SimpleTokenizer(context_length=12), text)
    nats = torch.arange(12.0)
    merged = merge_words(text, tokenized, nats)
    pieces = tokenized.word_of.count(0)
    assert pieces > 1
    assert merged.words == ["hypoechoic", "mass"]
    assert merged.relevance == [sum(range(1, 1 + pieces)), 1 + pieces]
    assert merged.token_relevance == list(range(1, 2 + pieces))
    assert merged.tokens[-1] == "mass</w>"
