"""The page in a browser: upload, text, run, correct, compare, download, what goes wrong, a phone."""

import io
import re
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.interactive.session import Session
from tests.chromium import PHONE
from tests.cli.app.conftest import TEXT

FILE = "#mx-file input[type=file]"
ANSWERED = ".mx-viewer:not(.mx-unanswered)"


def segment(page: Any, scan: Path, text: str = TEXT) -> None:
    page.set_input_files(FILE, str(scan))
    page.wait_for_selector("#mx-first .mx-viewer:not(.mx-bare)")
    page.fill("#mx-text textarea", text)
    page.click("#mx-segment")
    page.wait_for_selector(f"#mx-first {ANSWERED}")


def after(page: Any, act: Callable[[], object], viewer: str = "#mx-first") -> None:
    """Do something and wait until the viewer shows what came of it."""
    before = page.get_attribute(f"{viewer} .mx-viewer", "data-serial")
    act()
    page.wait_for_function(
        "([path, before]) => document.querySelector(path).dataset.serial !== before",
        arg=[f"{viewer} .mx-viewer", before],
    )


def mask_of(page: Any) -> Any:
    """The mask as it is downloaded."""
    with page.expect_download() as waiting:
        page.click("#mx-first [data-do=mask]")
    assert waiting.value.suggested_filename == "my scan (1)_mask.png"
    return np.asarray(Image.open(waiting.value.path()))


def corner(page: Any, share: tuple[float, float]) -> tuple[float, float]:
    page.locator("#mx-first .mx-stage").scroll_into_view_if_needed()
    box = page.locator("#mx-first .mx-stage").bounding_box()
    return box["x"] + share[0] * box["width"], box["y"] + share[1] * box["height"]


def test_upload_text_mask_correction_download(visit: Callable[..., Any], scan: Path) -> None:
    page = visit()
    assert "Research use only; not a medical device" in page.inner_text("#mx-head")
    segment(page, scan)
    first = mask_of(page)
    assert first.shape == (216, 224)
    assert set(np.unique(first)) <= {0, 255}
    command = page.text_content("#mx-first .mx-command code")
    assert "data.path=\"'my scan (1).png'\"" in command
    assert f'text.text="{TEXT}"' in command
    assert "Presence score" in page.inner_text("#mx-first .mx-facts")
    assert page.is_disabled("#mx-first [data-do=undo]")

    page.click("#mx-first [data-tool=box]")
    start, end = (0.08, 0.4), (0.5, 0.82)

    def drag() -> None:
        page.mouse.move(*corner(page, start))
        page.mouse.down()
        page.mouse.move(*corner(page, end), steps=3)
        page.mouse.up()

    after(page, drag)
    boxed = mask_of(page)
    assert boxed[110:150, 30:80].mean() > 127
    assert "prompt=given" in page.text_content("#mx-first .mx-command code")
    page.click("#mx-first [data-tool=remove]")
    after(page, lambda: page.mouse.click(*corner(page, (0.9, 0.1))))
    assert "points:[[201,21,0]]" in page.text_content("#mx-first .mx-command code")
    after(page, lambda: page.click("#mx-first [data-do=undo]"))
    assert np.array_equal(mask_of(page), boxed)
    after(page, lambda: page.click("#mx-first [data-do=clear]"))
    assert np.array_equal(mask_of(page), first)
    with page.expect_download() as waiting:
        page.click("#mx-first [data-do=overlay]")
    assert max(Image.open(waiting.value.path()).size) == 1024

    page.focus("#mx-first [data-slider=threshold]")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert "postprocess=threshold" in page.text_content("#mx-first .mx-command code")


def test_a_draft_stands_until_the_answer_comes(
    visit: Callable[..., Any], scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, answer = threading.Event(), Session._answer
    monkeypatch.setattr(Session, "_answer", lambda *given: seen.wait(60) and answer(*given))
    page = visit()
    page.set_input_files(FILE, str(scan))
    page.wait_for_selector("#mx-first .mx-viewer:not(.mx-bare)")
    page.fill("#mx-text textarea", "a tumor that nobody asked for yet")
    page.click("#mx-segment")
    page.wait_for_selector("#mx-first .mx-said:has-text('draft (patch_text)')")
    assert page.query_selector(f"#mx-first {ANSWERED}") is None
    opaque = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(x => x > 0)"
    assert page.eval_on_selector("#mx-first .mx-heat", opaque)
    seen.set()
    page.wait_for_selector(f"#mx-first {ANSWERED}")
    assert "draft" not in page.inner_text("#mx-first")


def test_what_goes_wrong_is_said(visit: Callable[..., Any], scan: Path, tmp_path: Path) -> None:
    page = visit()
    page.click("#mx-segment")
    page.wait_for_selector("#mx-said .mx-error:has-text('there is no image yet')")
    broken = tmp_path / "notes.png"
    broken.write_text("no image")
    page.set_input_files(FILE, str(broken))
    page.wait_for_selector("#mx-said .mx-error:has-text('notes.png cannot be read as an image')")
    page.set_input_files(FILE, str(scan))
    page.wait_for_selector("#mx-first .mx-viewer:not(.mx-bare)")
    page.fill("#mx-text textarea", "")
    page.click("#mx-segment")
    page.wait_for_selector("#mx-said .mx-error:has-text('the text is empty')")


def test_large_files_and_large_images_are_refused(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    buffer = io.BytesIO()
    Image.new("L", (2000, 1500)).save(buffer, "png")
    (tmp_path / "wide.png").write_bytes(buffer.getvalue())
    page.set_input_files(FILE, str(tmp_path / "wide.png"))
    page.wait_for_selector("#mx-said .mx-error:has-text('more than the 1 megapixels')")
    (tmp_path / "heavy.png").write_bytes(buffer.getvalue() + bytes(2_000_000))
    page.set_input_files(FILE, str(tmp_path / "heavy.png"))
    page.wait_for_selector("text=exceed the maximum allowed size")


def test_two_texts_side_by_side_and_two_tabs_apart(visit: Callable[..., Any], scan: Path) -> None:
    page, other = visit(), visit(PHONE)
    page.click(".mx-examples button >> nth=2")
    page.wait_for_selector(f"#mx-second {ANSWERED}")
    page.wait_for_selector("#mx-said:has-text('overlap with a DSC of')")
    assert "cyst" in page.inner_text("#mx-second .mx-title")
    segment(other, scan, "a dark cyst")
    assert other.inner_text("#mx-first .mx-title") == "“a dark cyst”"
    assert not other.is_visible("#mx-second")
    assert "spiculated" in page.inner_text("#mx-first .mx-title")
    assert other.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    after(other, lambda: other.locator("#mx-first .mx-stage").tap(position={"x": 90, "y": 150}))
    assert other.is_enabled("#mx-first [data-do=undo]")


@pytest.mark.slow
def test_keys_do_what_a_mouse_does(visit: Callable[..., Any], scan: Path) -> None:
    page = visit()
    segment(page, scan)
    page.focus("#mx-first .mx-stage")
    page.keyboard.press("Shift+ArrowLeft")
    after(page, lambda: page.keyboard.press("Enter"))
    assert "points:[[89,108,1]]" in page.text_content("#mx-first .mx-command code")
    page.click("#mx-first [data-tool=box]")
    page.focus("#mx-first .mx-stage")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    after(page, lambda: page.keyboard.press("Enter"))
    assert "box:[89,108,112,131]" in page.text_content("#mx-first .mx-command code")


@pytest.mark.slow
def test_missing_weights_are_named_when_chosen(visit: Callable[..., Any], scan: Path) -> None:
    page = visit()
    segment(page, scan)
    page.click("text=Method")
    page.click("#mx-postprocess input")
    after(page, lambda: page.click("ul[role=listbox] li:has-text('otsu')"))
    assert "postprocess=otsu" in page.text_content("#mx-first .mx-command code")
    page.click("button:has-text('More')")
    page.click("#mx-text_segmenter input")
    page.click("ul[role=listbox] li:has-text('owlv2 (not here)')")
    page.wait_for_selector("#mx-said .mx-error:has-text('text_segmenter=owlv2 cannot be used yet')")
    page.click("#mx-text_segmenter input")
    after(page, lambda: page.click("ul[role=listbox] li:has-text('none')"))
    page.click("#mx-sam input")
    page.click("ul[role=listbox] li:has-text('vit_b')")
    page.wait_for_selector("#mx-said .mx-error:has-text('sam=vit_b cannot be used yet')")


def test_enter_asks_and_keys_zoom(visit: Callable[..., Any], scan: Path) -> None:
    page = visit()
    page.set_input_files(FILE, str(scan))
    page.wait_for_selector("#mx-first .mx-viewer:not(.mx-bare)")
    page.focus("#mx-text textarea")
    page.keyboard.type(TEXT)
    page.keyboard.press("Enter")
    page.wait_for_selector("#mx-said .mx-busy")
    page.wait_for_selector(f"#mx-first {ANSWERED}")
    assert page.inner_text("#mx-said").strip() == ""
    assert "common." not in page.inner_text("body")
    assert page.text_content("#mx-first .mx-command code").startswith(
        "medsam-exp run +experiment=one_image data.path="
    )

    page.focus("#mx-first .mx-stage")
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert page.inner_text("#mx-first .mx-scale") == "225 %"
    page.keyboard.press("Tab")  # a point is set where the picture shows it, also when it is large
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+ArrowLeft")
    after(page, lambda: page.keyboard.press("Enter"))
    assert "points:[[89,108,1]]" in page.text_content("#mx-first .mx-command code")
    page.keyboard.press("0")
    assert page.inner_text("#mx-first .mx-scale") == "100 %"


def test_zoomed_and_moved_by_mouse_a_click_is_where_it_is(visit: Callable[..., Any], scan: Path) -> None:
    page = visit()
    segment(page, scan)
    for _ in range(2):
        page.click("#mx-first [data-do=closer]")
    page.click("#mx-first [data-do=pan]")
    frame = page.locator("#mx-first .mx-window-frame")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"], box["y"])  # half a frame to the upper left
    page.mouse.up()
    page.click("#mx-first [data-tool=add]")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    place = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    after(page, lambda: page.mouse.click(*place))
    # The left edge lay at (2.25 - 1) / 2 = 0.625 frames, then at 1.125; the middle at 1.625 of 2.25.
    x, y = int(224 * 1.625 / 2.25), int(216 * 1.625 / 2.25)
    (found,) = re.findall(r"points:\[\[(\d+),(\d+),1\]\]", page.text_content("#mx-first .mx-command code"))
    assert abs(int(found[0]) - x) <= 1
    assert abs(int(found[1]) - y) <= 1


def test_a_gallery_goes_on_and_back_and_runs_as_a_batch(
    visit: Callable[..., Any], scan: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.open(scan).crop((0, 0, 120, 100)).save(other)
    page = visit(PHONE)
    page.set_input_files(FILE, [str(scan), str(other)])
    page.wait_for_selector("#mx-gallery .mx-place:has-text('1 of 2')")
    page.fill("#mx-text textarea", "a dark mass")
    page.click("#mx-segment")
    page.wait_for_selector(f"#mx-first {ANSWERED}")
    page.click("#mx-gallery [data-step='1']")
    page.wait_for_selector("#mx-gallery .mx-place:has-text('2 of 2')")
    page.wait_for_selector(
        "#mx-gallery li:nth-child(2) small:has-text('px')"
    )  # asked at once, as the first was
    page.click("#mx-gallery [data-run]")
    page.wait_for_selector("#mx-said:has-text('All images are segmented')")
    with page.expect_download() as waiting:
        page.click("#mx-gallery [data-zip]")
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.namelist() == ["my scan (1)_mask.png", "other_mask.png"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    narrow = """labels => labels.map(label => {
        const probe = document.createElement("span");
        label.append(probe);
        probe.style = "position: absolute; white-space: nowrap; visibility: hidden";
        probe.textContent = label.textContent.trim().split(" ").reduce((a, b) => a.length > b.length ? a : b);
        const fits = probe.offsetWidth <= label.clientWidth;
        probe.remove();
        return fits;
    })"""
    assert all(page.eval_on_selector_all(".mx-examples button", narrow))  # no word is broken


def test_a_gallery_by_keyboard_alone_and_a_batch_that_is_stopped(
    visit: Callable[..., Any], scan: Path, tmp_path: Path
) -> None:
    """Tab goes through the strip in the order that is seen, arrow keys go along it, and the focus is seen."""
    files = []
    for number in range(8):
        files.append(str(tmp_path / f"{number}.png"))
        Image.open(scan).crop((number, 0, 120 + number, 100)).save(files[-1])
    page = visit(PHONE)
    page.set_input_files(FILE, files)
    page.wait_for_selector("#mx-gallery .mx-place:has-text('1 of 8')")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], (
        "the strip scrolls, not the page"
    )
    page.fill("#mx-text textarea", "a dark mass")
    strip = "#mx-gallery .mx-strip"
    page.focus(f"{strip} [data-step='-1']")
    stops = []
    for _ in range(4):
        stops.append(page.evaluate("document.activeElement.innerText.trim() || document.activeElement.title"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
        page.keyboard.press("Tab")
    assert stops == ["Previous", "Next", "Segment all", "0.png"], "no stop of buttons that can do nothing"
    page.keyboard.press("Shift+Tab")
    for key, place in (("ArrowRight", 2), ("End", 8), ("ArrowRight", 1), ("ArrowLeft", 8), ("Home", 1)):
        page.keyboard.press(key)
        page.wait_for_selector(f"#mx-gallery .mx-place:has-text('{place} of 8')")
        page.wait_for_function(f"document.activeElement.title === '{place - 1}.png'")
    page.focus(f"{strip} [data-step='1']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#mx-gallery .mx-place:has-text('2 of 8')")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('[data-stop]')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#mx-said:has-text('Stopped: ')")
    (done,) = re.findall(r"Stopped: (\d+) of 8 images", page.inner_text("#mx-said"))
    assert 1 <= int(done) < 8
    found = page.eval_on_selector_all(f"{strip} small", "all => all.map(one => one.textContent)")
    assert [bool(one) for one in found] == [True] * int(done) + [False] * (8 - int(done))
    page.wait_for_function("document.activeElement.matches('[data-run]:not(:disabled)')")
    with page.expect_download() as waiting:
        page.focus(f"{strip} [data-zip]")
        page.keyboard.press("Enter")
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.namelist() == [f"{number}_mask.png" for number in range(int(done))]
