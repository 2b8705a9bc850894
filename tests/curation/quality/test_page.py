"""The page in a browser: whole, offline, of bounded size, with a picture of every finding."""

import base64
import re

import pytest

from medsam_exp.curation.quality.page import write_page
from medsam_exp.report.web import drawings
from tests.axe import violations
from tests.chromium import DESKTOP, PHONE, visit
from tests.clean_data import lesion, scan
from tests.curation.quality.test_findings import crosses, empty_mask, words


@pytest.fixture
def page(clean, checked, tmp_path):
    """Of a dataset with copies, marks and faults, one of whose names is hostile."""
    clean.put("test", "copy", scan(0), lesion(3), "malignant")
    clean.put("train", "dark", scan(1) // 2, lesion(1), "malignant")
    crosses(clean)
    image = clean.path("val", "images", "case_06").rename(clean.path("val", "images", "<b onclick=x>'&"))
    clean.path("val", "masks", "case_06").rename(clean.path("val", "masks", image.stem))
    words(clean)
    empty_mask(clean)
    clean.path("train", "images", "case_03").write_bytes(b"no image")
    path = tmp_path / "data_quality.html"
    write_page(checked(clean.root), path, command="medsam-exp data-check data")
    return path


def test_it_holds_everything_and_asks_for_nothing(page):
    text = page.read_text()
    assert "<b onclick" not in text
    assert not re.search(r"(src|href)=.?(https?:|//)", text)
    for sentence in (
        "The same image with contradicting classes",
        "What to do",
        "medsam-exp data-check data",
    ):
        assert sentence in text


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_in_a_browser(page, tmp_path, size):
    async def look(shown):
        assert await shown.ask("document.documentElement.scrollWidth <= innerWidth")
        counts = await shown.ask(
            "[...document.querySelectorAll('section.found')].map((part) => [part.querySelector('h2').id, "
            "part.querySelectorAll('.card').length, part.querySelectorAll('.picture svg image').length])"
        )
        found = {kind: (cards, pictures) for kind, cards, pictures in counts}
        assert found["identical_across_splits"] == (1, 2)
        assert found["near"] == (1, 2)
        assert found["crosses"] == (1, 1)
        assert found["unreadable"] == (1, 0)
        assert await shown.ask("document.querySelectorAll('#crosses ~ .cards rect.drawn').length") >= 2
        assert (
            await shown.ask("document.querySelectorAll('#identical_masks ~ .cards path.drawn').length") == 2
        )
        width = "document.querySelector('#near ~ .cards .picture').getBoundingClientRect().width"
        before = await shown.ask(width)
        await shown.ask("document.querySelector('#near ~ .cards .picture').click()")
        if size == DESKTOP:
            assert await shown.ask(width) > 2 * before
        rows = "[...document.querySelectorAll('.every-finding tbody tr')]"
        first = await shown.ask(f"{rows}[0].textContent")
        await shown.ask("document.querySelector('.every-finding th button').click()")
        await shown.ask("document.querySelector('.every-finding th button').click()")
        assert await shown.ask(f"{rows}[0].textContent") != first
        await shown.ask(
            "{ const place = document.querySelectorAll('input[type=search]')[1]; place.value = 'crosses'; "
            "place.dispatchEvent(new Event('input')); }"
        )
        assert await shown.ask(f"{rows}.filter((row) => !row.hidden).length") == 1

    visit(page, size, look)


@pytest.mark.slow
def test_it_is_accessible(page):
    assert visit(page, DESKTOP, violations) == {}


def test_a_clean_dataset_has_a_page_too(clean, checked, tmp_path):
    path = tmp_path / "clean.html"
    write_page(checked(clean.root), path, command="c")

    async def look(shown):
        assert "nothing found" in await shown.ask("document.body.innerText")
        assert await shown.ask("document.querySelectorAll('section.found').length") == 0

    visit(path, DESKTOP, look)


def test_the_page_has_a_largest_size(clean, checked, tmp_path, monkeypatch):
    for number in range(30):
        clean.put("train", f"more_{number:02}", scan(100 + number), 0 * lesion(0))
    examination = checked(clean.root, near=False)
    sizes = []
    for largest in (19_000_000, 60_000):
        monkeypatch.setattr(drawings, "LARGEST", largest)
        write_page(examination, tmp_path / "page.html", command="c")
        sizes.append((tmp_path / "page.html").stat().st_size)
    text = (tmp_path / "page.html").read_text()
    assert sizes[1] < 66_000 < sizes[0]  # the last picture that was begun is finished
    assert "of 18 images are shown" in text
    assert "12 more are in the table" in text


def test_pictures_are_of_the_images(page):
    encoded = re.search(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", page.read_text())
    assert encoded
    assert base64.b64decode(encoded[1])[8:12] == b"WEBP"
