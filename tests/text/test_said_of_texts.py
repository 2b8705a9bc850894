"""What runs and trainings say of texts that are cut or not used."""

import logging
from types import SimpleNamespace

import pytest

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.stages.text_truncation import (
    caption_notes,
    cut_notes,
    cut_of_samples,
    records_of_cuts,
    warn_of_cuts,
)

LONG = "a round lesion " * 20 + "sitting on a chair"


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip("tiny")


def test_a_run_names_the_samples_and_where_reading_stops(
    clip: ClipModel, caplog: pytest.LogCaptureFixture
) -> None:
    texts = {f"x{n}": ("a mass", LONG) if n < 7 else ("a mass",) for n in range(9)}
    infos = {name: {"presence": 1.0, **record} for name, record in records_of_cuts(clip, texts).items()}
    assert infos["x8"] == {"presence": 1.0}
    artifacts = {"saliency": SimpleNamespace(infos=lambda ids: [infos[name] for name in ids])}
    cut = cut_of_samples(artifacts, list(texts))
    assert list(cut) == [f"x{n}" for n in range(7)]
    assert (cut["x0"]["context"], cut["x0"]["text"]) == (40, LONG)
    (note,) = cut_notes(cut, len(texts))
    tokens = cut["x0"]["tokens"]
    assert note.startswith(
        "the texts of 7 of 9 samples are longer than the 40 tokens that the network reads, and what follows "
        "is not read:"
    )
    assert f"x0 ({tokens} tokens, read up to '" in note
    assert "and 2 more: shorten them, or read them in pieces with text=windows" in note
    with caplog.at_level(logging.WARNING):
        warn_of_cuts(records_of_cuts(clip, texts))
    assert caplog.messages == [f"text: {note}"]
    assert cut_notes({}, len(texts)) == []


def test_a_training_counts_captions_that_it_cuts_or_does_not_use(clip: ClipModel) -> None:
    captions = {"a": ("a dark mass", LONG), "b": ("a cyst",)}
    pairs = SimpleNamespace(ids=tuple(captions), captions=captions.__getitem__)
    one = SimpleNamespace(ids=("b",), captions=captions.__getitem__)
    found = caption_notes(clip, {"train": pairs, "validation": pairs})
    assert found[0] == "train: 3 captions of 2 images; each epoch draws one of an image's"
    assert found[1].startswith(
        "train: 1 of 3 captions are longer than CLIP's 40 tokens, and what follows is not read (f"
    )
    assert found[2] == "validation: 3 captions of 2 images; one of each image's is used, always the same"
    assert caption_notes(clip, {"train": one, "validation": None}) == []
