import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.report.web.drawings import outline
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.runtime.json_text import json_text
from medsam_exp.sweep.collect import collect
from medsam_exp.sweep.read import read_sweep
from medsam_exp.sweep.report import page as page_module
from medsam_exp.sweep.report.images import draw_images, drawing_keys
from medsam_exp.sweep.report.page import by_disagreement, page_data
from tests.axe import violations
from tests.chromium import DESKTOP, PHONE, Page, visit
from tests.sweep.report.conftest import DATA


async def _look(page: Page) -> dict[str, Any]:
    """What a browser makes of the report."""
    found: dict[str, Any] = {}
    await page.ask("plots.drawAll().then(() => 0)")
    found["plots"] = await page.ask("document.querySelectorAll('.canvas .main-svg').length")
    found["plot buttons"] = await page.ask(
        "[...document.querySelectorAll('.modebar-btn')].map((made) => made.dataset.title)"
    )
    found["wide"] = await page.ask("document.documentElement.scrollWidth - innerWidth")
    table = "document.querySelector('.sorts table')"
    heading = f"headingsOf({table}).find((cell) => nameOf(cell) === 'dsc')"
    values = (
        f"[...{table}.tBodies[0].rows].map((row) => Number({table}.rowsOf.value(row, {heading}.cellIndex)))"
    )
    for order in ("ascending", "descending"):
        await page.ask(f"{heading}.querySelector('button').focus()")
        await page.press("Enter")
        found[order] = [await page.ask(f"{heading}.getAttribute('aria-sort')"), await page.ask(values)]
    await page.ask("document.querySelector('.filter input').focus()")
    await page.type("M2IB box dsc>0.5")
    left = f"[...{table}.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.textContent)"
    found["filtered"] = await page.ask(left)
    await page.ask("document.querySelectorAll('table.images tbody button')[2].focus()")
    await page.press("Enter")
    found["opened"] = await page.ask("byId('shown').textContent")
    found["panels"] = await page.ask("[...document.querySelectorAll('figcaption')].map((c) => c.textContent)")
    lines = "document.querySelectorAll('#series path.drawn').length"
    found["outlines"] = await page.ask(lines)
    await page.ask("document.querySelector('#panels input[value=sam_mask]').click()")
    found["fewer"] = await page.ask(lines)
    await page.ask("byId('viewer').focus()")
    await page.press("ArrowRight")
    found["next"] = await page.ask("byId('shown').textContent")
    await page.press("Escape")
    found["back"] = await page.ask("document.activeElement.textContent")
    await page.ask(
        "byId('boxes').emit('plotly_click', { points: [{ customdata: data.images[0], data: { meta: 2 } }] })"
    )
    found["by point"] = await page.ask(
        "[byId('shown').textContent, byId('run-a').selectedOptions[0].textContent]"
    )
    found["differences"] = await page.ask(
        "[...document.querySelectorAll('#differences tbody th')].map((cell) => cell.textContent)"
    )
    found["buttons"] = await page.ask(
        "[...document.querySelectorAll('.sorts thead th')].every((cell) => cell.querySelector('button'))"
    )
    found["failed"] = await page.ask("document.querySelector('.failed').textContent")
    return found


@pytest.fixture(scope="module", params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def seen(request: pytest.FixtureRequest, small_sweep: Path) -> dict[str, Any]:
    """What was seen, and that nothing went wrong and nothing was loaded."""
    found: dict[str, Any] = visit(small_sweep / "report.html", request.param, _look)
    return found


def test_all_is_drawn_and_fits_the_screen(seen: dict[str, Any]) -> None:
    assert seen["plots"] >= 4
    assert "out of <memory>" in seen["failed"]
    assert seen["wide"] <= 0


def test_no_button_of_a_plot_sends_its_figures_away(seen: dict[str, Any]) -> None:
    assert any("download" in title.lower() for title in seen["plot buttons"])  # saving a picture stays
    assert not [title for title in seen["plot buttons"] if re.search("share|cloud|chart studio", title, re.I)]


def test_tables_sort_and_filter_by_keys(seen: dict[str, Any]) -> None:
    assert seen["buttons"]
    direction, values = seen["ascending"]
    assert (direction, values) == ("ascending", sorted(values))
    assert len(values) == 4
    assert seen["descending"] == ["descending", sorted(values, reverse=True)]
    assert len(seen["filtered"]) == 1
    assert seen["filtered"][0].startswith("m2ibbox")


def test_an_image_opens_beside_another_runs(seen: dict[str, Any], small_sweep: Path) -> None:
    ids = sorted(page_data(read_sweep([small_sweep]))["images"])
    assert (seen["opened"], seen["next"], seen["back"]) == (ids[2], ids[3], ids[3])
    captions = [caption.partition(",")[0] for caption in seen["panels"]]
    assert captions == 2 * ["Image", "Saliency map", "Coarse mask", "Prompts", "SAM mask", "Ground truth"]
    assert seen["outlines"] - seen["fewer"] == 2  # one in each run
    assert seen["by point"] == [ids[0], "2: a<b&c / box"]
    assert seen["differences"] == ["saliency._target_", "prompt._target_"]


@pytest.mark.slow
def test_the_page_is_accessible(small_sweep: Path) -> None:
    async def look(page: Page) -> Any:
        await page.ask("plots.drawAll().then(() => 0)")
        return await violations(page)

    assert visit(small_sweep / "report.html", DESKTOP, look) == {}


def test_the_page_says_what_was_segmented_and_when(small_sweep: Path) -> None:
    page = (small_sweep / "report.html").read_text()
    assert ", phantom, 2026-03-01</title>" in page
    assert '<time datetime="2026-03-01T12:30:00+00:00">2026-03-01 12:30</time>' in page
    # An interval stands below its score, so that more columns fit.
    assert re.search(r"\d ± [\d.]+\*?(?:</strong>)? <small>\[", page)


def test_the_page_loads_nothing_and_does_not_change(small_sweep: Path) -> None:
    before = (small_sweep / "report.html").read_bytes()
    page = before.decode().replace("http://www.w3.org/2000/svg", "")
    own = page[: page.index('<script type="application/json"')] + page[page.rindex("<script>") :]
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", own)
    assert "</script>" not in own[own.index("<style>") : own.index("<main>")]
    assert "<b&c" not in page  # names are escaped
    collect([small_sweep], small_sweep)
    assert (small_sweep / "report.html").read_bytes() == before


def test_scores_of_many_images_lie_beside_the_page(
    small_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "IMAGES_IN_PAGE", 3)
    sweep = read_sweep([small_sweep])
    page_module.write_sweep_report(tmp_path / "report.html", sweep, {})
    held = re.findall(r'id="data">(.*?)</script>', (tmp_path / "report.html").read_text())
    assert [len(json.loads(data)["images"]) for data in held] == [0]

    async def look(opened: Page) -> Any:
        return json.loads(await opened.ask("JSON.stringify(data)"))

    shown = visit(tmp_path / "report.html", DESKTOP, look)
    assert shown == json.loads(json_text(page_data(sweep)))


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
    assert all(len(image["source"]) < 30_000 for image in found.images.values())
    one = len(json.dumps([found.images, found.layers, found.prompts])) // 4
    some = draw_images(sweep.finished, ids, 2 * one)
    assert list(some.images) == ids[: len(some.images)]
    assert 1 <= len(some.images) < 4
    assert f"{len(some.images)} of 4 images are shown" in some.remarks[0]


def test_without_true_masks_images_are_shown_beside_each_other(small_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(small_sweep, tmp_path / "sweep")
    for table in (tmp_path / "sweep").glob("*/per_image.csv"):
        head, *rows = table.read_text().splitlines()
        unscored = [",".join([*row.split(",")[:3], "", ""]) for row in rows]
        table.write_text("\n".join([head, *unscored]) + "\n")
    sweep = read_sweep([tmp_path / "sweep"])
    data = page_data(sweep)
    assert data["scores"] == {}
    assert data["images"] == page_data(read_sweep([small_sweep]))["images"]
    page_module.write_sweep_report(tmp_path / "report.html", sweep, {})

    async def look(opened: Page) -> Any:
        return await opened.ask("document.querySelectorAll('#viewer svg.panel').length")

    assert visit(tmp_path / "report.html", DESKTOP, look) > 0


def test_each_text_shows_what_it_made(small_sweep: Path, tmp_path: Path) -> None:
    """Three runs of one key: one text, two texts, and the first again; the masks tell which."""
    sweep = read_sweep([small_sweep])
    data = PhantomDataset(**DATA)
    ids = [sample.id for sample in data.samples]
    images = {one: data.image_digest(one, FileDigests()) for one in ids}
    jobs = []
    for number, texts in enumerate((("one mass",), ("two", "cysts"), ("one mass",))):
        keys = {"coarse_mask": "shared"}
        digests = {one: text_digest(images[one], *texts) for one in ids}
        mask = np.arange(81).reshape(9, 9) < 9 * 2 * len(texts)
        stored = StageArtifacts(tmp_path, "coarse_mask", "shared", digests)
        for one in stored.pending(ids):
            stored.save(one, {}, mask)
        rows = [{"id": one, "text": " | ".join(texts), "stage": "coarse"} for one in ids]
        run = replace(sweep.finished[0].run, summary={"keys": keys}, rows=rows, artifacts=tmp_path)
        jobs.append(replace(sweep.finished[0], number=number, run=run))
    assert drawing_keys(jobs) == {
        0: {"coarse_mask": "shared 0"},
        1: {"coarse_mask": "shared 1"},
        2: {"coarse_mask": "shared 0"},
    }
    found = draw_images(jobs, ids, 10_000_000)
    assert found.remarks == []
    small, large = (np.arange(81).reshape(9, 9) < 9 * rows for rows in (2, 4))
    assert found.layers["coarse_mask"] == {
        "shared 0": dict.fromkeys(ids, outline(small)),
        "shared 1": dict.fromkeys(ids, outline(large)),
    }


def test_what_a_network_makes_of_images_alone_is_shared_by_all_texts(
    small_sweep: Path, tmp_path: Path
) -> None:
    """Masks of an nnU-Net that learnt from true masks; an image that was replaced has a record of before, too."""
    sweep = read_sweep([small_sweep])
    data = PhantomDataset(**DATA)
    ids = [sample.id for sample in data.samples]
    now = {one: text_digest(data.image_digest(one, FileDigests())) for one in ids}
    mask = np.arange(81).reshape(9, 9) < 18
    for digests, shown in (({ids[0]: "f" * 64}, ~mask), (now, mask)):
        stored = StageArtifacts(tmp_path, "reference_single", "shared", digests)
        for one in digests:
            stored.save(one, {}, shown)
    jobs = []
    for number, text in enumerate(("one mass", "a cyst")):
        rows = [{"id": one, "text": text, "stage": "reference"} for one in ids]
        summary = {"keys": {"reference_single": "shared"}}
        run = replace(sweep.finished[0].run, summary=summary, rows=rows, artifacts=tmp_path)
        jobs.append(replace(sweep.finished[0], number=number, run=run))
    assert drawing_keys(jobs) == {number: {"reference_single": "shared"} for number in (0, 1)}
    found = draw_images(jobs, ids, 10_000_000)
    assert found.remarks == []
    assert found.layers["reference_single"] == {"shared": dict.fromkeys(ids, outline(mask))}


def test_what_fits_neither_image_nor_text_is_said_not_to_be_shown(small_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(small_sweep, tmp_path / "sweep")
    root = tmp_path / "artifacts"
    first = read_sweep([small_sweep]).finished[0]
    assert first.run.artifacts is not None
    shutil.copytree(first.run.artifacts, root)
    for file in (tmp_path / "sweep").glob("*/.hydra/config.yaml"):
        config = json.loads(file.read_text())
        file.write_text(json.dumps({**config, "paths": {"artifacts": str(root)}}))
    sweep = read_sweep([tmp_path / "sweep"])
    ids = page_data(sweep)["images"]
    assert draw_images(sweep.finished, ids, 10_000_000).remarks == []
    key = sweep.finished[0].run.summary["keys"]["coarse_mask"]
    other = StageArtifacts(root, "coarse_mask", key, {ids[0]: "ba9876543210"})
    other.save(ids[0], {}, np.zeros((8, 8), bool))
    found = draw_images(sweep.finished, ids, 10_000_000)
    assert "changed since" in found.remarks[0]
    assert ids[0] not in found.layers["coarse_mask"][key]


def test_images_that_differ_most_come_first() -> None:
    jobs = [{"scores": {"sam/dsc": [0.1, 0.5, None]}}, {"scores": {"sam/dsc": [0.2, 0.9, 0.4]}}]
    data = {"images": ["a", "b", "c"], "scores": {"coarse/dsc": "", "sam/dsc": ""}, "jobs": jobs}
    assert by_disagreement(data) == ["b", "a", "c"]


@pytest.fixture
def two_datasets(small_sweep: Path, tmp_path: Path) -> Path:
    """Jobs 0 and 1 over drawn scans, and the same as jobs 2 and 3 over others of equal ids."""
    for number in range(4):
        folder = tmp_path / "sweep" / str(number)
        shutil.copytree(small_sweep / str(number % 2), folder)
        if number >= 2:
            summary = json.loads((folder / "summary.json").read_text())
            summary["choices"]["data"] = "other"
            (folder / "summary.json").write_text(json.dumps(summary))
            overrides = json.loads((folder / ".hydra" / "overrides.yaml").read_text())
            (folder / ".hydra" / "overrides.yaml").write_text(json.dumps([*overrides, "data=other"]))
    return tmp_path / "sweep"


def test_equal_ids_of_two_datasets_are_two_images(small_sweep: Path, two_datasets: Path) -> None:
    (one, *_), both = page_data(read_sweep([small_sweep]))["jobs"], page_data(read_sweep([two_datasets]))
    ids = page_data(read_sweep([small_sweep]))["images"]
    names = [f"{data}: {name}" for data in ("other", "phantom") for name in ids]
    assert (both["images"], both["image_count"]) == (names, 8)
    assert [job["dataset"] for job in both["jobs"]] == ["phantom", "phantom", "other", "other"]
    known = one["scores"]["sam/dsc"]
    assert both["jobs"][0]["scores"]["sam/dsc"] == [None] * 4 + known
    assert both["jobs"][2]["scores"]["sam/dsc"] == known + [None] * 4
    collect([two_datasets], two_datasets)
    page = (two_datasets / "report.html").read_text()
    drawings = json.loads(re.search(r'id="drawings">(.*?)</script>', page)[1])  # type: ignore[index]
    assert sorted(drawings["images"]) == names[4:]
    assert all(own.keys() == drawings["images"].keys() for own in drawings["layers"]["sam_mask"].values())
    assert "images are shown of the first of 2 datasets" in page.lower()
    assert "4 of 4 jobs · 8 images" in page


async def _runs_to_choose(page: Page) -> list[str]:
    """Runs that the browser offers, and what it shows of each."""
    runs = "[...byId('run-b').options].map((option) => option.textContent)"
    table = "[...document.querySelector('table.images').tBodies[0].rows].map((row) => row.textContent)"
    found: list[str] = await page.ask(f"[...{runs}, ...{table}]")
    return found


def test_runs_over_other_images_are_not_offered_beside_them(two_datasets: Path, tmp_path: Path) -> None:
    collect([two_datasets], two_datasets)
    seen: list[str] = visit(two_datasets / "report.html", DESKTOP, _runs_to_choose)
    assert [entry.partition(":")[0] for entry in seen[:2]] == ["0", "1"]
    assert len(seen) == 2 + 4
    assert all("phantom: " in row and "–" not in row for row in seen[2:])


def test_the_classes_of_an_image_are_one_image(small_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(small_sweep / "0", tmp_path / "0")
    header, *rows = (tmp_path / "0" / "per_image.csv").read_text().splitlines()
    lines = [f"{header},image_id", *(f"{row},scan" for row in rows)]
    (tmp_path / "0" / "per_image.csv").write_text("\n".join(lines) + "\n")
    collect([tmp_path], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "1 images, each asked for some of several classes" in page
    assert "points are images and their classes" in page


def test_without_the_data_the_rest_is_there(small_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(small_sweep, tmp_path / "copy")
    for number in range(4):
        (tmp_path / "copy" / str(number) / ".hydra" / "config.yaml").unlink()
    collect([tmp_path / "copy"], tmp_path / "copy")
    page = (tmp_path / "copy" / "report.html").read_text()
    assert "Images cannot be shown" in page
    assert 'id="boxes"' in page
