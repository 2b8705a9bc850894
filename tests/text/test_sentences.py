"""The package's own sentences: enough of them, all different, each about its task."""

import json
import re
from importlib.resources import files

import pytest

from medsam_exp.data.phantom.captions import generic_sentences, subtype_sentences
from medsam_exp.data.phantom.vocabulary import SHAPE_WORDS, VOCABULARIES
from medsam_exp.text.sentence_files import own_lists, read_sentences
from medsam_exp.text.sentence_lists import plain_name

EXPECTED = {
    "brain_mri": {"glioma", "meningioma", "pituitary"},
    "breast_ultrasound": {"benign", "malignant"},
    "lung_ct": set(),
    "lung_xray": {"normal", "lung opacity", "viral pneumonia", "COVID-19"},
    "phantom": {names[0] for words in VOCABULARIES.values() for names in words.classes.values()},
}
IMAGING = {
    "brain_mri": r"MRI|magnetic resonance",
    "breast_ultrasound": r"ultrasound",
    "lung_ct": r"CT|computed tomography",
    "lung_xray": r"X-ray|radiograph",
}
TARGET = {
    "brain_mri": r"tumor|mass|lesion|glioma|meningioma|pituitary|neoplasm|growth",
    "breast_ultrasound": r"tumor|mass|lesion|lump|nodule|cyst|cancer|carcinoma|fibroadenoma|hypoechoic area",
    "lung_ct": r"lung",
    "lung_xray": r"lung|pulmonary|thorax|chest",
}


def lists_of(name: str) -> dict[str, tuple[str, ...]]:
    known = read_sentences(name)
    return {
        "generic": known.generic(),
        **{key: subtype.sentences for key, subtype in known.subtypes.items()},
    }


def test_every_task_has_its_lists():
    assert set(own_lists()) == set(EXPECTED)
    for name, classes in EXPECTED.items():
        assert set(read_sentences(name).subtypes) == classes


@pytest.mark.parametrize("name", EXPECTED)
def test_at_least_twenty_different_sentences_a_list(name):
    for texts in lists_of(name).values():
        assert len({plain_name(text) for text in texts}) == len(texts) >= 20


@pytest.mark.parametrize("name", IMAGING)
def test_no_sentence_stands_in_two_lists_and_each_names_imaging_and_target(name):
    texts = [text for own in lists_of(name).values() for text in own]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert re.search(IMAGING[name], text, re.IGNORECASE), text
        assert re.search(TARGET[name], text, re.IGNORECASE), text
        assert "mammogra" not in text.lower()
        assert text[0].isupper()
        assert text.endswith(".")
        assert 25 < len(text) < 120


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"phantom"}))
def test_the_files_are_data_of_the_package_in_the_documented_form(name):
    content = json.loads((files("medsam_exp") / "text" / "sentences" / f"{name}.json").read_text("utf-8"))
    assert set(content) == {"generic", "subtypes"}
    assert all(set(subtype) == {"name", "aliases", "sentences"} for subtype in content["subtypes"].values())


def test_sentences_about_drawn_lesions_are_true_in_every_scan_that_has_the_class():
    """Reference: a word that says tone, shape or kind must be among the words of each scan and class."""
    telling = {word for words in SHAPE_WORDS.values() for word in words}
    telling |= {word for v in VOCABULARIES.values() for words in v.tones.values() for word in words}
    for vocabulary in VOCABULARIES.values():
        for (tone, shape), names in vocabulary.classes.items():
            true_words = {*vocabulary.tones[tone], *SHAPE_WORDS[shape]}
            for text in subtype_sentences()[names[0]]:
                assert set(text.split()) & telling <= true_words
                assert any(word in text for word in (*names, *vocabulary.nouns))
    assert not any(set(text.split()) & telling for text in generic_sentences())
