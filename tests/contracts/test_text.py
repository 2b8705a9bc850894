"""What every choice of conf/text promises: texts for all, whatever the order, and labels used only where declared."""

import json
from pathlib import Path

import pytest
from hydra.utils import instantiate

from medsam_exp.testing.data import check_text
from medsam_exp.types import Sample, TextSource
from tests.compose import choices, composed

CHOICES = choices("text")
TASKS = {
    "busi": ["benign", "malignant"],
    "brain_mri": ["glioma", "meningioma", "pituitary"],
    "lung_xray": ["normal", "lung opacity", "viral pneumonia", "COVID-19"],
    "phantom": ["cyst", "fibroadenoma", "glioma", "metastasis"],
    "lung_ct": [],
}
NEEDS_SUBTYPES = {"subtype", "subtype_name", "ensemble_subtype"}
EXCHANGES = {"shuffled"}
CASES = [
    (choice, task) for choice in CHOICES for task in TASKS if TASKS[task] or choice not in NEEDS_SUBTYPES
]


def samples_of(task: str, shift: int = 0) -> list[Sample]:
    """Nine samples whose classes take turns; `shift` hands the classes on to other samples."""
    classes = TASKS[task] or [None]
    return [
        Sample(f"s{i}", classes[(i + shift) % len(classes)], f"a dark mass in the upper left, number {i}")
        for i in range(9)
    ]


def source_of(choice: str, task: str, folder: Path) -> TextSource:
    (folder / "texts.json").write_text(json.dumps({f"s{i}.png": f"sentence {i}" for i in range(9)}))
    given = {
        "free": ["text.text=a mass"],
        "per_image": [f"text.path={folder}/texts.json"],
        "index": [f"text.path={folder}/texts.json"],
        "windows": [f"text.source.path={folder}/texts.json"],
    }.get(choice, [])
    return instantiate(composed(f"data={task}", f"text={choice}", *given).text, _convert_="all")


@pytest.mark.parametrize(("choice", "task"), CASES)
def test_contract(choice: str, task: str, tmp_path: Path) -> None:
    source, samples = source_of(choice, task, tmp_path), samples_of(task)
    check_text(source, samples, exchanges=choice in EXCHANGES)
    assert source_of(choice, task, tmp_path).bind(samples) == source.bind(samples)
    if choice in NEEDS_SUBTYPES:
        assert source.uses_class_labels
        own, others = source.bind(samples), source.bind(samples_of(task, shift=1))
        assert all(own[name] != others[name] for name in own), "this test could not fail"


@pytest.mark.parametrize(
    ("choice", "labels"),
    [
        ("class_name", False),
        ("subtype_name", True),
        ("generic", False),
        ("subtype", True),
        ("ensemble_generic", False),
        ("ensemble_subtype", True),
    ],
)
@pytest.mark.parametrize("task", [task for task in TASKS if TASKS[task]])
def test_the_papers_six_kinds_of_text(choice: str, labels: bool, task: str, tmp_path: Path) -> None:
    source = source_of(choice, task, tmp_path)
    assert source.uses_class_labels is labels
    texts = source.bind(samples_of(task))
    assert {len(own) for own in texts.values()} == ({20} if choice.startswith("ensemble") else {1})
    assert len(set(texts.values())) == (len(TASKS[task]) if labels else 1)
