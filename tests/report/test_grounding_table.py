"""The table of control texts and the sentences about presence, from summary.json's figures."""

from medsam_exp.report.topics.grounding import (
    _COLUMNS,
    _grounding_rows,
    _presence_sentences,
    grounding_section,
)
from medsam_exp.report.topics.scores import scores_section
from tests.report.conftest import values


def figure(mean: float, n: int = 8) -> dict:
    return {"mean": mean, "std": 0.2, "ci95": [mean - 0.1, mean + 0.1], "n": n}


METRICS = {
    "sam/dsc": figure(0.5),
    "grounding/empty_own": figure(0.25),
    "grounding/empty_nonsense": figure(0.875),
    "grounding/correlation_nonsense": figure(0.4567),
    "grounding/peak_shift_px_nonsense": figure(31.04),
    "grounding/peak_shift_fraction_nonsense": figure(0.1234),
    "presence/auc": figure(0.9),
    "presence/ece": figure(0.11),
}
FACTS = {
    "threshold": 0.5,
    "vetoes": True,
    "sensitivity": 0.96,
    "specificity": 0.8,
    "with_target": 5,
    "without_target": 3,
    "calibrated_on": "val split of scans, 40 images",
}


def test_rows_are_texts_and_columns_what_they_do() -> None:
    own, nonsense = _grounding_rows(METRICS)
    assert (own.label, own.short) == ("The image's own text", "the image's own text")
    assert values(own) == ["–", "–", "–", "25.0"]
    assert nonsense.short == "nonsense"
    assert values(nonsense) == ["0.457 ± 0.200", "31.0 ± 0.2", "12.3 ± 20.0", "87.5"]
    assert nonsense.cells[3].interval == "[77.5, 97.5]"  # type: ignore[union-attr]
    assert len(nonsense.cells) == len(_COLUMNS)
    assert nonsense.last == "8"


def test_a_run_without_controls_has_no_table_and_no_sentences() -> None:
    assert _grounding_rows({"sam/dsc": figure(0.5)}) == []
    assert _presence_sentences({}, {}) == []
    assert grounding_section({"metrics": {"sam/dsc": figure(0.5)}}) is None
    section = scores_section({"metrics": METRICS, "keys": {"saliency": "key"}})
    assert section is not None
    assert [part.table.name for part in section.parts if part.table] == ["Scores"]


def test_the_sentences_say_counts_operating_point_and_origin() -> None:
    text = " ".join(_presence_sentences(FACTS, METRICS))
    assert "5 images with the text's target, 3 without" in text
    assert "0.900 [0.800, 1.000]" in text
    assert "threshold 0.5 (the veto): 96 % of the images with the target" in text
    assert "80 % of those without do not" in text
    assert "calibrated on the val split of scans, 40 images" in text
    plain = " ".join(_presence_sentences({**FACTS, "vetoes": False, "calibrated_on": None}, METRICS))
    assert "(no veto in this run)" in plain
    assert "not calibrated" in plain
