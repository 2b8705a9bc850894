import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from medsam_exp.metrics.overlap import dice
from medsam_exp.sweep.collect import collect
from medsam_exp.sweep.read import read_sweep
from medsam_exp.sweep.report.facts import by_disagreement, page_data
from medsam_exp.sweep.report.images import draw_images, outline

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CATCH = "<script>window.problems = []; addEventListener('error', (e) => problems.push(e.message));"
CATCH += "console.error = (...said) => problems.push(said.join(' '));</script>"
SCRIPT = """<script>
const found = {};
const rows = (table) => [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.textContent);
const table = document.querySelector(".sorts table");
const heading = [...table.tHead.rows[0].cells].find((cell) => cell.textContent.startsWith("DSC"));
const column = heading.cellIndex;
const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[column].dataset.value));
heading.querySelector("button").click();
found.ascending = [heading.getAttribute("aria-sort"), values()];
heading.querySelector("button").click();
found.descending = [heading.getAttribute("aria-sort"), values()];
const search = table.closest(".sorts").previousElementSibling.querySelector("input");
search.value = "M2IB box";
search.dispatchEvent(new Event("input"));
found.filtered = rows(table);
document.querySelectorAll("#image-table tbody button")[2].click();
found.opened = document.getElementById("shown").textContent;
found.panels = document.querySelectorAll("#viewer svg.panel image").length;
found.outlines = document.querySelectorAll("#picture-a path.drawn").length;
document.querySelector("#layers input[value=sam_mask]").click();
found.fewer = document.querySelectorAll("#picture-a path.drawn").length;
document.getElementById("viewer").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
found.next = document.getElementById("shown").textContent;
found.differences = [...document.querySelectorAll("#differences tbody th")].map((cell) => cell.textContent);
found.buttons = [...document.querySelectorAll(".sorts thead th")].every((cell) => cell.querySelector("button"));
found.failed = document.querySelector(".failed").textContent.includes("out of <memory>");
Promise.all(canvases.map(drawPlot)).then(() => {
  found.plots = document.querySelectorAll(".canvas .main-svg").length;
  found.problems = problems;
  found.plotButtons = [...document.querySelectorAll(".modebar-btn")].map((made) => made.dataset.title);
  document.body.append(element("pre", { id: "found", textContent: JSON.stringify(found) }));
});
</script>"""


@pytest.fixture(scope="module")
def seen(small_sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a browser makes of the report."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    folder = tmp_path_factory.mktemp("browser")
    page = (small_sweep / "report.html").read_text()
    page = page.replace("<style>", CATCH + "<style>", 1).replace("</body>", SCRIPT + "</body>")
    (folder / "page.html").write_text(page)
    options = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    )
    command = [
        CHROMIUM,
        *options.split(),
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=20000",
    ]
    command += ["--dump-dom", (folder / "page.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    written = re.search(r'<pre id="found">(.*?)</pre>', shown, re.S)
    assert written, "the page's scripts did not end"
    for sign, name in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        written = written if isinstance(written, str) else written[1]
        written = written.replace(sign, name)
    found: dict[str, Any] = json.loads(str(written))
    return found


def test_nothing_goes_wrong_and_all_is_drawn(seen: dict[str, Any]) -> None:
    assert seen["problems"] == []
    assert seen["plots"] >= 4
    assert seen["failed"]


def test_no_button_of_a_plot_sends_its_figures_away(seen: dict[str, Any]) -> None:
    assert any("download" in title.lower() for title in seen["plotButtons"])  # saving a picture stays
    assert not [title for title in seen["plotButtons"] if re.search("share|cloud|chart studio", title, re.I)]


def test_tables_sort_and_filter_by_buttons(seen: dict[str, Any]) -> None:
    assert seen["buttons"]
    direction, values = seen["ascending"]
    assert (direction, values) == ("ascending", sorted(values))
    assert len(values) == 4
    assert seen["descending"] == ["descending", sorted(values, reverse=True)]
    assert len(seen["filtered"]) == 1
    assert seen["filtered"][0].startswith("m2ibbox")


def test_an_image_opens_beside_another_runs(seen: dict[str, Any], small_sweep: Path) -> None:
    ids = sorted(page_data(read_sweep([small_sweep]))["images"])
    assert (seen["opened"], seen["next"]) == (ids[2], ids[3])
    assert seen["panels"] == 6  # image and map, image and masks, of two runs
    assert seen["outlines"] - seen["fewer"] == 1
    assert seen["differences"] == ["saliency._target_", "prompt._target_"]


def test_the_page_loads_nothing_and_does_not_change(small_sweep: Path) -> None:
    before = (small_sweep / "report.html").read_bytes()
    page = before.decode().replace("http://www.w3.org/2000/svg", "")
    own = page[: page.index('<script type="application/json"')] + page[page.rindex("<script>") :]
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", own)
    assert "</script>" not in own[own.index("<style>") : own.index("<main>")]
    assert "<b&c" not in page  # names are escaped
    collect([small_sweep], small_sweep)
    assert (small_sweep / "report.html").read_bytes() == before


@pytest.mark.parametrize("size", [64, 700])
def test_an_outline_encloses_its_mask(size: int) -> None:
    ys, xs = np.mgrid[:size, :size] / size
    mask = (np.hypot(ys - 0.4, xs - 0.5) < 0.25) & ~(np.hypot(ys - 0.4, xs - 0.5) < 0.1)
    mask[:, : size // 8] = True  # touches the image's edge
    canvas = Image.new("1", (4 * size, 4 * size))
    draw = ImageDraw.Draw(canvas)
    for part in sorted(outline(mask).split("z")[:-1], key=len, reverse=True):
        flat = [4 * float(number) for number in part[1:].split()]
        points = list(zip(flat[::2], flat[1::2], strict=True))
        inner = all(np.hypot(y / 4 / size - 0.4, x / 4 / size - 0.5) < 0.15 for x, y in points)
        draw.polygon(points, fill=0 if inner else 1)
    drawn = np.asarray(canvas)[2::4, 2::4]
    assert dice(drawn, mask) > 0.98
    assert outline(np.zeros((5, 9), bool)) == ""


def test_pictures_are_small_shared_and_within_their_budget(small_sweep: Path) -> None:
    sweep = read_sweep([small_sweep])
    data = page_data(sweep)
    ids = by_disagreement(data)
    found = draw_images(sweep.finished, ids, 10_000_000)
    assert list(found.images) == ids
    assert {stage: len(keys) for stage, keys in found.layers.items()} == {
        "saliency": 2,
        "coarse_mask": 2,
        "sam_mask": 4,
    }
    for image in found.images.values():
        assert len(image["source"]) < 12_000
        assert image["truth"].startswith("M")
        encoded = base64.b64decode(image["source"].partition(",")[2])
        width, height = Image.open(io.BytesIO(encoded)).size
        assert width / height == pytest.approx(image["width"] / image["height"], rel=0.02)
    one = len(json.dumps([found.images, found.layers, found.prompts])) // 4
    some = draw_images(sweep.finished, ids, 2 * one)
    assert list(some.images) == ids[: len(some.images)]
    assert 1 <= len(some.images) < 4
    assert f"{len(some.images)} of 4 images are shown" in some.remarks[0]


def test_images_that_differ_most_come_first() -> None:
    jobs = [{"scores": {"sam/dsc": [0.1, 0.5, None]}}, {"scores": {"sam/dsc": [0.2, 0.9, 0.4]}}]
    data = {"images": ["a", "b", "c"], "scores": {"coarse/dsc": "", "sam/dsc": ""}, "jobs": jobs}
    assert by_disagreement(data) == ["b", "a", "c"]


def test_without_the_data_the_rest_is_there(small_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(small_sweep, tmp_path / "copy")
    for number in range(4):
        (tmp_path / "copy" / str(number) / ".hydra" / "config.yaml").unlink()
    collect([tmp_path / "copy"], tmp_path / "copy")
    page = (tmp_path / "copy" / "report.html").read_text()
    assert "Images cannot be shown" in page
    assert 'id="boxes"' in page
