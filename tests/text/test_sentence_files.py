"""Files of sentences in both forms, and every way they can be wrong."""

import json

import pytest

from medsam_exp.text.ensemble_generic import EnsembleGeneric
from medsam_exp.text.ensemble_subtype import EnsembleSubtype
from medsam_exp.text.generic import Generic
from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.text.subtype import Subtype
from medsam_exp.text.subtype_name import SubtypeName
from medsam_exp.types import Sample, UserError
from tests.compose import composed

SAMPLES = [Sample("a", "Benign"), Sample("b", "MALIGNANT ")]

# The shape of the authors' saliency_maps/text_prompts.py: module-level lists of strings, and nothing else.
PYTHON = '''
"""Sentences."""
import os

raise SystemExit("this file must not be executed")
breast_tumor_P2_prompts = [
    "A first ultrasound sentence.",
    "A second ultrasound "
    "sentence.",
]
benign_breast_tumor_P3_prompts = ["A smooth oval."]
malignant_breast_tumor_P3_prompts = ["A ragged star."]
computed = [os.getcwd(), "x"]
numbers = [1, 2]
'''
TABLE = {
    "generic": ["one", "two", "three"],
    "subtypes": {
        "benign": {"name": "benign tumor", "aliases": ["BIRADS_2"], "sentences": ["smooth", "oval"]},
        "malignant": ["ragged", "star"],
    },
}


def write(folder, content, name="own.json"):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(folder / name)


def test_the_authors_python_file_is_read_with_the_datasets_own_mapping(tmp_path):
    path = write(tmp_path, PYTHON, "text_prompts.py")
    lists = dict(composed("data=busi", "text=subtype").text.lists)
    assert Generic(path, lists).bind(SAMPLES[:1]) == {"a": ("A first ultrasound sentence.",)}
    assert Generic(path, lists, index=1).texts == ("A second ultrasound sentence.",)
    assert Subtype(path, lists).bind(SAMPLES) == {"a": ("A smooth oval.",), "b": ("A ragged star.",)}
    assert SubtypeName(path, lists).bind(SAMPLES) == {"a": ("benign",), "b": ("malignant",)}
    with pytest.raises(UserError, match=r"no list other \(it has breast_tumor_P2_prompts, benign_breast"):
        Generic(path, {"generic": "other"})
    with pytest.raises(UserError, match=r"text\.lists is not set.*benign_breast_tumor_P3_prompts"):
        Generic(path)
    with pytest.raises(UserError, match="no list computed, numbers"):
        Subtype(path, {"a": "computed", "b": "numbers"})


@pytest.mark.parametrize("task", ["busi", "brain_mri", "lung_xray", "lung_ct"])
def test_the_mapping_of_a_dataset_names_the_classes_of_its_own_lists(task):
    data = composed(f"data={task}").data
    assert set(data.sentence_lists) == {"generic", *read_sentences(data.sentences).subtypes}


def test_an_own_json_file(tmp_path):
    path = write(tmp_path, TABLE)
    samples = [*SAMPLES, Sample("c", "birads-2"), Sample("d", "benign_Tumor")]
    assert Subtype(path).bind(samples) == {
        "a": ("smooth",),
        "b": ("ragged",),
        "c": ("smooth",),
        "d": ("smooth",),
    }
    assert Subtype(path, index=1).bind(samples[:2]) == {"a": ("oval",), "b": ("star",)}
    assert SubtypeName(path).bind(samples[:2]) == {"a": ("benign tumor",), "b": ("malignant",)}
    assert EnsembleGeneric(path, count=2).bind(samples[:1]) == {"a": ("one", "two")}
    assert EnsembleGeneric(path, count=None).texts == ("one", "two", "three")
    assert EnsembleSubtype(path, count=2).bind(SAMPLES) == {"a": ("smooth", "oval"), "b": ("ragged", "star")}


def test_names_without_lists_are_the_classes_own():
    samples = [Sample("x@left_lung", "left_lung"), Sample("y", "COVID-19")]
    assert SubtypeName(None).bind(samples) == {"x@left_lung": ("left lung",), "y": ("COVID-19",)}
    with pytest.raises(UserError, match=r"1 of 2 samples have no class \(y\)"):
        SubtypeName(None).bind([samples[0], Sample("y", " ")])


@pytest.mark.parametrize("variant", ["COVID-19", "covid_19", "Covid 19", "COVID", " covid19 "])
def test_spelling_of_a_class_does_not_matter(variant):
    assert SubtypeName("lung_xray").bind([Sample("a", variant)]) == {"a": ("lungs with COVID-19",)}


def test_an_unknown_class_is_named_with_its_sample_and_the_known_ones():
    samples = [Sample("a", "benign"), Sample("b", "normal"), Sample("c", "cyst")]
    for source in (Subtype, EnsembleSubtype, SubtypeName):
        with pytest.raises(UserError) as caught:
            source("breast_ultrasound").bind(samples)
        message = str(caught.value)
        for part in ("sample b", "1 more", "'normal'", "breast_ultrasound", "benign, malignant"):
            assert part in message
        with pytest.raises(UserError, match=r"2 of 3 samples have no class \(b, c\)"):
            source("breast_ultrasound").bind([samples[0], Sample("b"), Sample("c", "")])
    with pytest.raises(UserError, match="lung_ct has no subtypes: use text=generic"):
        Subtype("lung_ct").bind(samples)


@pytest.mark.parametrize("index", [-1, 20])
def test_an_index_beyond_the_list(index):
    with pytest.raises(UserError, match=rf"text\.index={index}, but lung_ct, generic has 20 sentences"):
        Generic("lung_ct", index=index)
    with pytest.raises(UserError, match="benign breast tumor has 20 sentences"):
        Subtype("breast_ultrasound", index=index).bind(SAMPLES)


@pytest.mark.parametrize("count", [0, 21])
def test_a_count_beyond_the_list(count):
    with pytest.raises(UserError, match=rf"text\.count={count}, but lung_ct, generic has 20"):
        EnsembleGeneric("lung_ct", count=count)
    with pytest.raises(UserError, match="benign breast tumor has 20 sentences"):
        EnsembleSubtype("breast_ultrasound", count=count).bind(SAMPLES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{'generic': []}", "no valid JSON"),
        (["a"], "has not the form"),
        ({"subtypes": ["a"]}, "has not the form"),
        ({"generics": ["a"]}, 'has generics beside "generic"'),
        ({"generic": "a"}, "generic is no list of strings"),
        ({"generic": [1]}, "generic is no list of strings"),
        ({"generic": ["a", " "]}, "empty sentence in its list 'generic'"),
        ({"generic": ["a", "a "]}, "a sentence twice in its list 'generic'"),
        ({"subtypes": {"x": []}}, "the subtype x has no sentence"),
        ({"subtypes": {"x": "a"}}, "the subtype x is neither"),
        ({"subtypes": {"x": {"sentence": ["a"]}}}, "the subtype x is neither"),
        ({"subtypes": {"x": {"sentences": ["a"], "name": 3}}}, "a name that is no text"),
        ({"subtypes": {"x": ["a"], "X": ["b"]}}, "'X' means both x and X"),
        ({"subtypes": {"x": ["a"]}}, "no generic sentences"),
    ],
)
def test_faulty_json(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        Generic(write(tmp_path, content))


def test_faulty_sources(tmp_path):
    with pytest.raises(UserError, match=r"data\.sentences is not set: name lists .*brain_mri, .*phantom"):
        Generic(None)
    with pytest.raises(UserError, match=r"text\.sentences=breast names no lists .*breast_ultrasound"):
        Generic("breast")
    with pytest.raises(UserError, match=r"absent\.json cannot be read"):
        Generic(str(tmp_path / "absent.json"))
    with pytest.raises(UserError, match="no valid Python"):
        Generic(write(tmp_path, "x = [", "broken.py"), {"generic": "x"})
