"""A run's page as a browser shows it, at a desk and on a phone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.report.figures.overlay import ImageResult
from medsam_exp.report.page import write_report
from medsam_exp.report.web.drawings import draw_image
from medsam_exp.runtime.artifacts import StageArtifacts
from tests.axe import violations
from tests.chromium import DESKTOP, PHONE, Page, visit

PHANTOMS: dict[str, Any] = {
    "name": "phantom", "seed": 3, "count": 1000, "target": "lesion", "modality": None, "sentences": "phantom",
    "sentence_lists": None, "modalities": ["ultrasound", "ct"], "normal_fraction": 0.0, "pair_fraction": 0.4,
    "mask_shows": "target", "absent_fraction": 0.0, "split": "test",
}  # fmt: skip


@pytest.fixture
def report(tmp_path: Path, case: ImageResult, rows: Any, summary: dict[str, Any], pictures: Any) -> Path:
    """The page of a run over three images; one id and one text would end a script or an attribute."""
    renamed = {"scan_11": 'scan "11</script>'}
    rows = [{**row, "id": renamed.get(row["id"], row["id"])} for row in rows]
    ids = list(dict.fromkeys(row["id"] for row in rows))
    digests = dict.fromkeys(ids, "0123456789ab")
    keys = {"saliency": "s", "coarse_mask": "c", "sam_mask": "m"}
    stored = {
        stage: {key: StageArtifacts(tmp_path / "artifacts", stage, key, digests)}
        for stage, key in keys.items()
    }
    assert case.mask is not None
    assert case.coarse_mask is not None
    for number, name in enumerate(ids):
        prompts = {
            "boxes_xyxy": [[26, 16, 55, 45]], "point_coords": [[[40, 30], [5, 5]]], "point_labels": [[1, 0]],
        }  # fmt: skip
        stored["saliency"]["s"].save(name, {}, case.saliency_map)
        stored["coarse_mask"]["c"].save(name, {}, case.coarse_mask)
        mask = case.mask if number else np.zeros_like(case.mask)
        stored["sam_mask"]["m"].save(name, {"prompts": prompts}, mask)

    drawn = [(name, draw_image(name, case.image, case.ground_truth, stored, side=384)) for name in ids]
    summary = {**summary, "keys": keys, "changed_settings": {"prompt.expansion": ["0.0", "<b>"]}}
    write_report(
        tmp_path / "report.html", title="run", summary=summary, rows=rows, figures=pictures, drawn=drawn
    )
    return tmp_path / "report.html"


async def _look(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = {"wide": await page.ask("document.documentElement.scrollWidth - innerWidth")}
    await page.ask("plots.drawAll().then(() => 0)")
    found["plots"] = await page.ask(
        "['boxes', 'scatter'].map((id) => document.querySelectorAll(`#${id} .point`).length)"
    )
    table = "document.querySelector('table.images')"
    order = f"[...{table}.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.dataset.id)"
    heading = f"headingsOf({table}).find((cell) => cell.dataset.name === 'sam/dsc')"
    for _ in range(2):
        await page.ask(f"{heading}.querySelector('button').focus()")
        await page.press("Enter")
    found["sorted"] = [await page.ask(f"{heading}.getAttribute('aria-sort')"), await page.ask(order)]
    await page.ask(f"{table}.closest('.sorts').previousElementSibling.querySelector('input').focus()")
    await page.type("SCAN sam/dsc<0.8")
    found["filtered"] = await page.ask(order)
    filtering = f"{table}.closest('.sorts').previousElementSibling"
    found["counted"] = await page.ask(f"{filtering}.querySelector('output').textContent")
    await page.type(" sam/dcs<1")
    found["misspelt"] = await page.ask(f"{filtering}.querySelector('output').textContent")
    for _ in " sam/dcs<1":
        await page.press("Backspace")
    await page.press("Tab")  # to the table's own scrolling place, then into it
    await page.ask(f"{table}.tBodies[0].rows[1].querySelector('button').focus()")
    await page.press("Enter")
    found["opened"] = await page.ask("byId('shown').textContent")
    found["captions"] = await page.ask(
        "[...document.querySelectorAll('.panels figcaption')].map((caption) => caption.textContent)"
    )
    found["text"] = await page.ask("document.querySelector('.run').textContent")
    for key in ("next", "after"):
        await page.press("ArrowRight")
        found[key] = await page.ask("byId('shown').textContent")
    found["prompts"] = await page.ask("document.querySelectorAll('[data-panel=prompts] .drawn').length")
    await page.ask("document.querySelector('[data-panel=sam_mask] button').focus()")
    await page.press("Enter")
    found["large"] = await page.ask(
        "[...document.querySelectorAll('.panels figure')].map((one) => one.getBoundingClientRect().width)"
    )
    await page.press("Escape")
    found["back"] = await page.ask("document.activeElement.closest('tr').dataset.id")
    await page.ask(
        "byId('scatter').emit('plotly_click', { points: [{ customdata: data.images[0], data: {} }] })"
    )
    found["by point"] = await page.ask("byId('shown').textContent")
    found["settings"] = await page.ask(
        "[...document.querySelectorAll('td')].some((c) => c.textContent.trim() === '<b>')"
    )
    found["pdf"] = len(await page.pdf())
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_runs_page_works_by_keys(report: Path, size: tuple[int, int]) -> None:
    seen = visit(report, size, _look)
    assert seen["wide"] <= 0
    boxes, scatter = seen["plots"]
    assert (boxes, scatter) == (3 * 2 * 3, 3)  # images x stages x measures
    last = 'scan "11</script>'
    assert seen["sorted"] == ["descending", [last, "scan_07", "scan_03"]]
    assert seen["filtered"] == ["scan_07", "scan_03"]
    assert seen["counted"] == "2 of 3 rows"
    assert seen["misspelt"].startswith("0 of 3 rows: there is no column sam/dcs of numbers, but ")
    assert "sam/dsc, " in seen["misspelt"]
    assert (seen["opened"], seen["next"], seen["after"], seen["back"]) == (
        "scan_07",
        "scan_03",
        "scan_07",
        "scan_07",
    )
    assert seen["captions"] == [
        "Image, 80 × 60 px", "Saliency map", "Coarse mask, DSC 0.600", "Prompts", "SAM mask, DSC 0.723", "Ground truth",
    ]  # fmt: skip
    assert "a bright round lesion" in seen["text"]
    assert seen["prompts"] == 3  # a box and two points
    assert seen["large"][4] > 1.5 * seen["large"][0]
    assert seen["by point"] == "scan_03"
    assert seen["settings"]
    assert seen["pdf"] > 10_000


@pytest.mark.slow
def test_the_page_is_accessible(report: Path) -> None:
    async def look(page: Page) -> Any:
        await page.ask("plots.drawAll().then(() => browser.open(data.images[0]))")
        return await violations(page)

    assert visit(report, DESKTOP, look) == {}


def test_an_empty_mask_is_said_to_be_empty(report: Path) -> None:
    async def look(page: Page) -> Any:
        return await page.ask("document.querySelector('[data-panel=sam_mask] figcaption').textContent")

    assert visit(report, DESKTOP, look) == "SAM mask, empty, DSC 0.623"


@pytest.mark.slow
def test_a_thousand_images_stay_under_20_mb_and_answer(tmp_path: Path, summary: dict[str, Any]) -> None:
    """Drawn scans, each with a map, masks, ten points and a text of its own; all are shown."""
    scans = PhantomDataset(**PHANTOMS)
    ids = [sample.id for sample in scans.samples]
    digests = dict.fromkeys(ids, "0123456789ab")
    keys = {"saliency": "s", "coarse_mask": "c", "sam_mask": "m"}
    stored = {stage: {key: StageArtifacts(tmp_path, stage, key, digests)} for stage, key in keys.items()}
    rows = []
    for number, name in enumerate(ids):
        truth = scans.read_ground_truth(name)
        moved = np.roll(truth, number % 20, axis=1)
        points = np.argwhere(truth)[:: max(1, truth.sum() // 10), ::-1].tolist()
        prompts = {"boxes_xyxy": None, "point_coords": [points], "point_labels": [[1] * len(points)]}
        stored["saliency"]["s"].save(name, {}, moved.astype(np.float32))
        stored["coarse_mask"]["c"].save(name, {}, moved)
        stored["sam_mask"]["m"].save(name, {"prompts": prompts}, truth)
        scores = {"dsc": number / 1000, "iou": 0.4, "nsd": 0.3, "hd95_px": 12.25, "presence": 1.0}
        rows += [
            {"id": name, "text": f"{40 * 'words '}{number}", "stage": stage, **scores}
            for stage in ("coarse", "sam")
        ]
    report = tmp_path / "report.html"
    write_report(
        report, title="thousand", summary={**summary, "keys": keys}, rows=rows, figures=[],
        drawn=((n, draw_image(n, scans.read_image(n), scans.read_ground_truth(n), stored, 224)) for n in ids),
    )  # fmt: skip
    assert report.stat().st_size < 20_000_000

    async def look(page: Page) -> Any:
        await page.ask("browser.open(data.images[999])")
        return await page.ask("[Object.keys(drawings.images).length, byId('shown').textContent]")

    assert visit(report, DESKTOP, look) == [1000, ids[999]]


MANY = 50_000
BARE: dict[str, Any] = {
    "date": "2031-02-03T04:05:06+00:00", "command": "python run.py", "metrics": {}, "choices": {}, "timing": {},
    "keys": {"sam_mask": "key"}, "environment": {}, "ground_truth_used_for": [], "notes": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run over many images, each with a text of its own; 250 of them have pictures, the last first."""
    folder = tmp_path_factory.mktemp("large")
    ids = [f"scan_{number:05d}" for number in range(MANY)]
    rows = [
        {"id": name, "text": f"a bright mass number {number}", "stage": stage, "presence": float(number % 2),
         "dsc": number // 500 / 100, "iou": number / MANY, "nsd": 0.5, "hd95_px": 12.5}
        for stage in ("coarse", "sam")
        for number, name in enumerate(ids)
    ]  # fmt: skip
    image = np.full((6, 8, 3), 90, np.uint8)
    drawn = ((name, draw_image(name, image, image[..., 0] > 0, {}, side=8)) for name in ids[:-251:-1])
    write_report(folder / "report.html", title="many", summary=BARE, rows=rows, figures=[], drawn=drawn)
    return folder / "report.html"


def test_the_page_of_many_images_stays_small(large: Path) -> None:
    assert large.stat().st_size < 3_000_000
    beside = {path.name: path.stat().st_size for path in (large.parent / "report").iterdir()}
    assert sorted(beside) == ["images_0000.js", "images_0001.js", "images_0002.js", "scores.js"]
    assert beside["scores.js"] < 120 * MANY
    assert "250 of 50000 images are shown" in large.read_text()


def test_the_page_of_many_images_sorts_filters_and_shows_all_of_them(large: Path) -> None:
    table = "document.querySelector('table.images')"
    cells = f"[...{table}.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent))"

    async def look(page: Page) -> dict[str, Any]:
        found: dict[str, Any] = {"rows": await page.ask(cells)}
        found["opened"] = await page.ask(
            "loaded('scan_49999').then(() => [browser.shown(), document.querySelectorAll('.panels svg').length])"
        )
        await page.ask("byId('next').click()")
        found["next"] = await page.ask("byId('shown').textContent")
        heading = f"headingsOf({table}).find((cell) => cell.dataset.name === 'sam/dsc')"
        for _ in range(2):
            await page.ask(f"{heading}.querySelector('button').click()")
        found["highest"] = (await page.ask(cells))[0]
        field = f"{table}.closest('.sorts').previousElementSibling"
        await page.ask(f"{field}.querySelector('input').focus()")
        await page.type("SCAN_4 sam/dsc<0.81")
        found["filtered"] = await page.ask(cells)
        found["counted"] = await page.ask(f"{field}.querySelector('output').textContent")
        turn = f"{table}.closest('.sorts').nextElementSibling"
        await page.ask(f"[...{turn}.querySelectorAll('button')].at(-1).click()")
        found["second"] = [
            await page.ask(f"{turn}.querySelector('span').textContent"),
            (await page.ask(cells))[0][0],
        ]
        await page.ask("plots.drawAll().then(() => 0)")
        found["points"] = await page.ask(
            "['boxes', 'scatter'].map((id) => document.querySelectorAll(`#${id} .point`).length)"
        )
        return found

    seen = visit(large, DESKTOP, look)
    assert len(seen["rows"]) == 100
    assert seen["rows"][1][:7] == [
        "scan_00001", "a bright mass number 1", "yes", "0.000", "0.000", "0.500", "12.5",
    ]  # fmt: skip
    assert seen["opened"] == ["scan_49999", 2]
    assert seen["next"] == "scan_49750"  # by the table's order, the first that has a picture
    assert (seen["highest"][0], seen["highest"][7]) == ("scan_49500", "0.990")
    assert seen["counted"] == "500 of 50000 rows"
    assert seen["filtered"][0][0] == "scan_40000"
    assert seen["second"] == ["rows 101 to 200 of 500", "scan_40100"]
    assert seen["points"][0] == 0
    assert 3_000 < seen["points"][1] <= 6_000


def test_the_page_of_many_images_says_what_it_lacks_without_its_folder(large: Path, tmp_path: Path) -> None:
    alone = tmp_path / "report.html"
    alone.write_bytes(large.read_bytes())

    async def look(page: Page) -> bool:
        said: bool = await page.ask("byId('alone').hidden")
        page.problems.clear()
        return said

    assert visit(alone, DESKTOP, look) is False


def test_a_page_that_holds_everything_has_no_folder(report: Path) -> None:
    stale = report.with_suffix("")
    stale.mkdir()
    for name in ("scores.js", "images_0007.js", "own.txt"):
        (stale / name).write_text("")
    write_report(report, title="run", summary=BARE, rows=[], figures=[])
    assert [path.name for path in stale.iterdir()] == ["own.txt"]  # nobody else's file is touched
    (stale / "own.txt").unlink()
    write_report(report, title="run", summary=BARE, rows=[], figures=[])
    assert not stale.exists()
