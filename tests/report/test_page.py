import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.report.page import write_report
from medsam_exp.report.pictures import embedded
from medsam_exp.report.section import FigureFile

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Reader(HTMLParser):
    """Reads the page as a browser would: what it loads, its texts, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture
def write(tmp_path: Path, summary: dict[str, Any], rows: list[dict[str, Any]], pictures: Any) -> Any:
    def written(**changes: Any) -> tuple[str, Reader]:
        given = {
            "title": "phantom_zeroshot",
            "summary": summary,
            "rows": rows,
            "figures": pictures,
            **changes,
        }
        write_report(tmp_path / "report.html", **given)
        html = (tmp_path / "report.html").read_text(encoding="utf-8")
        return html, Reader(html)

    return written


def test_page_is_whole(write: Any) -> None:
    html, page = write()
    assert html.lstrip().startswith("<!doctype html>")
    assert page.open == []
    assert page.tags.count("h1") == 1


def test_what_must_stand_beside_the_results_is_shown_where_there_is_something(
    write: Any, summary: dict[str, Any]
) -> None:
    html, page = write()
    assert 'class="caution"' not in html
    said = (
        "SAM was trained on synthetic scans only: masks mean nothing. Fetch <others> by `medsam-exp weights`."
    )
    html, page = write(summary={**summary, "caution": said})
    assert html.count('class="caution"') == 1
    assert "<code>medsam-exp weights</code>." in html
    assert said.replace("`", "") in " ".join(page.text.split())


def test_page_says_everything_of_the_run(write: Any, rows: Any, summary: dict[str, Any]) -> None:
    _, page = write()
    said = [row["id"] for row in rows] + [row["text"] for row in rows]
    said += [summary["command"], *summary["notes"], *summary["ground_truth_used_for"]]
    for part in ("choices", "environment", "keys"):
        said += [word for pair in summary[part].items() for word in pair]
    said += [
        "0.613 ± 0.111",
        "[0.563, 0.663]",
        "Peak to target (px)",
        "0.723",
        "12.2",
        "2031-02-03 04:05",
    ]
    said += ["Best cases", "Distribution over images"]
    for words in said:
        assert words in page.text


def test_disclaimer_stands_first_and_last(write: Any) -> None:
    html, page = write()
    assert "report, phantom, 2031-02-03</title>" in html
    body = page.text.split("2031-02-03", 1)[1].strip()
    sentence = "Research use only; not a medical device."
    assert body.startswith(sentence)
    assert body.endswith(sentence)


def test_page_loads_nothing(write: Any) -> None:
    html, page = write()
    assert page.loads
    assert all(address.startswith(("data:", "#")) for address in page.loads)
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    script = "".join(re.findall(r"<script>(.*?)</script>", html, re.DOTALL))
    script = script.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert "addEventListener" in script
    assert not re.search(r"url\(|@import", style)
    assert not re.search(r"https?://|fetch|import\s", style + script)
    assert "default-src 'none'" in html


def test_what_users_wrote_is_escaped(write: Any, rows: Any, summary: dict[str, Any], pictures: Any) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    _, plain = write()
    html, page = write(
        title=evil,
        rows=[{**row, "id": evil + row["id"], "text": evil + row["id"]} for row in rows],
        summary={
            **summary,
            "notes": [evil],
            "command": evil,
            "choices": {"data": evil, evil: evil},
            "environment": {evil: evil},
            "keys": {evil: evil},
            "ground_truth_used_for": [evil],
        },
        figures=[pictures[0]._replace(caption=f"{evil}: {evil}")],
    )
    assert page.tags.count("script") == plain.tags.count("script") == 4
    assert "<script>alert" not in html
    assert all(address.startswith(("data:", "#")) for address in page.loads)
    assert evil in page.text


def test_run_without_ground_truth(write: Any, rows: Any, summary: dict[str, Any], pictures: Any) -> None:
    bare = [{key: row[key] for key in ("id", "text", "stage", "presence")} for row in rows]
    bare[-1]["presence"] = 0.0
    _, page = write(
        rows=bare,
        summary={**summary, "metrics": {}, "ground_truth_used_for": [], "notes": []},
        figures=[pictures[0]._replace(caption="example: scan_07")],
    )
    assert "this run used no ground truth" in page.text
    assert "Examples" in page.text
    for word in ("DSC", "Notes", "nan", "None", "Distribution"):
        assert word not in page.text
    assert "scan_07 yes scan_11 no" in page.text


def test_one_text_for_all_images_is_said_once(write: Any, rows: Any) -> None:
    _, page = write()
    assert page.text.count("a bright round lesion") == 1
    rows[1]["text"] = rows[0]["text"] = rows[2]["text"] = "another text"
    _, page = write(rows=rows)
    assert page.text.count("a bright round lesion") == 2


def test_every_number_can_be_sorted(write: Any, rows: Any) -> None:
    del rows[1]["nsd"]
    html, _ = write(rows=rows)
    values = re.findall(r'data-value="([^"]*)"', html)
    assert len(values) == 3 * 2 * 4
    assert values.count("") == 1
    assert {float(value) for value in values if value} >= {0.5, 0.6, 0.7, 12.25}


def test_many_notes_and_long_texts_are_folded(write: Any, rows: Any, summary: dict[str, Any]) -> None:
    notes = [f"note number {number}" for number in range(25)]
    rows[0]["text"] = rows[1]["text"] = rows[2]["text"] = "many words " * 40
    _, page = write(rows=rows, summary={**summary, "notes": notes})
    assert page.tags.count("details") == 3  # notes, the text, and the choices of all groups
    assert "15 more" in page.text
    assert notes[24] in page.text


def test_same_run_same_page(write: Any) -> None:
    assert write()[0] == write()[0]


def test_large_pictures_are_made_small(write: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 3200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    source = embedded(Image.open(tmp_path / "large.png"))
    html, page = write(figures=[FigureFile("best: scan_07", tmp_path / "large.png", source)])
    assert "data:image/jpeg" in html
    assert len(html) < (tmp_path / "large.png").stat().st_size / 2
    assert page.tags.count("img") == 1


def test_fixed_boxes_stand_in_for_those_that_scripts_draw(write: Any) -> None:
    html, _ = write()
    assert re.search(r'id="boxes">\s*<figure>.*?<img src="data:image', html, re.DOTALL)
    assert 'id="plotly"' in html
    bare, _ = write(rows=[])
    assert 'id="boxes"' not in bare
    assert 'id="plotly"' not in bare, "a page without scores needs no plotly"


def test_page_without_pictures(write: Any) -> None:
    _, page = write(figures=[])
    assert "img" not in page.tags
    assert "scan_11" in page.text


def test_classes_and_further_scores_have_tables_of_their_own(
    write: Any, summary_by_class: dict[str, Any]
) -> None:
    _, page = write(summary=summary_by_class)
    assert page.open == []
    for words in (
        "By class: SAM mask",
        "benign [cyst]",
        "0.522 ± 0.022",
        "Mean over classes",
        "0.617 ± 0.022",
    ):
        assert words in page.text
    for words in ("Further scores of the masks", "NSD (released)", "0.955 ± 0.022", "published numbers only"):
        assert words in page.text
    _, plain = write()
    assert "By class" not in plain.text
    assert "Further scores" not in plain.text
    assert "sam/nsd_released" not in page.text
