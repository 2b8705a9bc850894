"""What the networks had seen: on the console, on the page, in its head, and nowhere for runs of old."""

from pathlib import Path
from typing import Any

from medsam_exp.report.contents import contents
from medsam_exp.report.page import write_report
from medsam_exp.report.topics.scores import scores_section
from medsam_exp.report.topics.supervision import final_mark, marks, supervision_section

from .conftest import values
from .test_console import printed
from .test_page import Reader


def test_each_mask_has_its_mark_and_the_facts(supervised_summary: dict[str, Any]) -> None:
    section = supervision_section(supervised_summary)
    assert section is not None
    (part,) = section.parts
    assert part.table is not None
    assert [(row.label, *values(row)) for row in part.table.rows] == [
        ("Coarse mask", "zero-shot", "CLIP saw photographs"),
        ("SAM mask", "supervised", "SAM saw masks; CLIP saw photographs"),
    ]
    assert final_mark(supervised_summary) == "SAM mask: supervised"
    scores = scores_section(supervised_summary)
    assert scores is not None
    table = scores.parts[0].table
    assert table is not None
    assert [row.remark for row in table.rows] == ["zero-shot", "supervised"]


def test_the_console_says_each_mark_once(supervised_summary: dict[str, Any], tmp_path: Path) -> None:
    said = printed(supervised_summary, tmp_path).splitlines()
    assert [line for line in said if line.startswith("seen")] == [
        "seen     coarse: zero-shot (CLIP saw photographs)",
        "seen     sam: supervised (SAM saw masks)",
    ]


def test_the_page_has_it_in_its_head(
    supervised_summary: dict[str, Any], rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    write_report(tmp_path / "report.html", title="run", summary=supervised_summary, rows=rows, figures=[])
    html = (tmp_path / "report.html").read_text()
    assert '<a href="#supervision">SAM mask: supervised</a>' in html
    assert '<h2 id="supervision">' in html
    assert Reader(html).open == []


def test_a_map_alone_has_a_mark_too(supervised_summary: dict[str, Any]) -> None:
    only = {"saliency": supervised_summary["supervision"]["saliency"]}
    assert final_mark({**supervised_summary, "supervision": only}).endswith(": zero-shot")


def test_a_run_of_old_says_nothing(summary: dict[str, Any]) -> None:
    assert "supervision" not in {section.id for section in contents(summary)}
    assert (final_mark(summary), marks(summary)) == ("", {})
