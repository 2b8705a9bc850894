import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medsam_exp.metrics.measures import Cell
from medsam_exp.report.console import print_summary
from medsam_exp.report.page import write_report
from medsam_exp.report.section import Row
from medsam_exp.report.topics.retrieval import _explanation, _retrieval_rows, retrieval_section


def figure(mean: float, chance: float) -> dict[str, Any]:
    return {"mean": mean, "std": 0.004, "ci95": [mean - 0.01, mean + 0.02], "n": 300, "chance": chance}


@pytest.fixture
def retrieval_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """Of a run without images."""
    metrics = {
        "retrieval/recall10_image_to_text": figure(0.5, 10 / 300),
        "retrieval/recall5_image_to_text": figure(0.4, 5 / 300),
        "retrieval/top1_image_to_text": figure(0.8183, 0.02),
        "retrieval/top1_text_to_image": figure(0.8136, 0.02),
    }
    facts = {"part": "validation", "pairs": 307, "texts": 290, "batch_size": 50, "shuffles": 5, "left_out": 7}
    choices = {"data": "phantom", "clip": "tiny", "pairs": "roco"}
    changed = {"retrieval": facts, "choices": choices, "notes": [], "keys": {"retrieval": "key"}}
    return {**summary, "metrics": metrics, **changed}


def test_lines_are_in_per_cent_batches_first_then_by_place(retrieval_summary: dict[str, Any]) -> None:
    lines = _retrieval_rows(retrieval_summary["metrics"])
    assert [line.label for line in lines] == ["top-1 of a batch", "recall@5 of all", "recall@10 of all"]
    assert lines[0] == Row(
        "top-1 of a batch",
        [Cell("81.83 ± 0.40", "[80.83, 83.83]", "300"), Cell("81.36 ± 0.40", "[80.36, 83.36]", "300")],
        "2.00",
    )
    assert lines[1].cells[1] == Cell("–", "", "")
    assert lines[1].last == "1.67"


def test_other_runs_have_no_retrieval(summary: dict[str, Any]) -> None:
    assert retrieval_section(summary) is None
    assert _explanation({}) == []


def test_what_was_left_out_is_said(retrieval_summary: dict[str, Any]) -> None:
    facts = retrieval_summary["retrieval"]
    said = " ".join(_explanation(facts))
    assert "307 validation pairs with 290 different texts, in batches of 50, shuffled 5 times" in said
    assert "7 of them left out of each shuffle" in said
    assert "left out" not in " ".join(_explanation({**facts, "left_out": 0}))
    assert "captions" not in said
    many = {**facts, "captions": 1000, "captions_left_out": 693}
    assert "one caption an image is drawn, 693 of 1000 are not used" in " ".join(_explanation(many))


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "±"), ("ascii", "+-")])
def test_console_table(retrieval_summary: dict[str, Any], tmp_path: Path, encoding: str, sign: str) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_summary(retrieval_summary, tmp_path, Console(file=file))
    file.flush()
    lines = raw.getvalue().decode(encoding).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("retrieval"))
    assert lines[head + 1].split() == [
        "top-1",
        "of",
        "a",
        "batch",
        "81.83",
        sign,
        "0.40",
        "81.36",
        sign,
        "0.40",
        "2.00",
    ]
    assert lines[head + 2].split() == ["[80.83,", "83.83]", "[80.36,", "83.36]"]
    assert any("7 of them left out" in line for line in lines)
    assert not any(line.startswith("stage ") for line in lines), "no empty table of masks"


def test_page_of_a_run_without_images(retrieval_summary: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, title="measured", summary=retrieval_summary, rows=[], figures=[])
    page = path.read_text()
    assert "81.83 ± 0.40" in page
    assert "Image to text" in page
    assert "7 of them left out" in page
    for absent in ("Every image", "Scores</h2>", "0 images", "<code>retrieval/"):
        assert absent not in page
    headline = page[page.index('<ul class="choices">') : page.index("</ul>")]
    assert "roco" in headline
    assert "phantom" not in headline, "a dataset that nobody read"
