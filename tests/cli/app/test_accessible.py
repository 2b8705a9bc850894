"""The app for everybody: what axe-core finds wrong, and the whole path by keys."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.axe import SIZES, audit
from tests.cli.app.conftest import TEXT
from tests.cli.app.test_page import ANSWERED, FILE

OF_GRADIO = "serious nested-interactive: button[aria-label="
"""Gradio puts the list of uploaded files, with their own buttons, inside the button that uploads."""

pytestmark = pytest.mark.slow


def test_it_is_accessible(visit: Callable[..., Any], scan: Path) -> None:
    page = visit()
    found = {"at first": page.evaluate(f"eval({json.dumps(audit())})")}
    page.set_input_files(FILE, [str(scan), str(scan)])
    page.wait_for_selector("#mx-gallery .mx-place:has-text('1 of 2')")
    page.fill("#mx-text textarea", TEXT)
    page.click("text=Compare with a second text")
    page.fill("#mx-second textarea", "a dark cyst")
    page.click("#mx-segment")
    page.wait_for_selector(f"#mx-second {ANSWERED}")
    page.wait_for_selector("#mx-said:has-text('overlap with a DSC of')")
    page.click("text=Method")
    page.click("button:has-text('More')")
    for summary in page.query_selector_all(".mx-command summary"):
        summary.click()
    for dark in (False, True):
        page.emulate_media(color_scheme="dark" if dark else "light")
        if dark:  # Gradio asks for the colours once
            page.evaluate("document.body.classList.add('dark')")
        page.wait_for_timeout(500)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            found[f"{width} px, {'dark' if dark else 'light'}"] = page.evaluate(
                f"eval({json.dumps(audit())})"
            )
    ours = {where: [one for one in wrong if not one.startswith(OF_GRADIO)] for where, wrong in found.items()}
    assert {where: wrong for where, wrong in ours.items() if wrong} == {}


def test_from_the_file_to_its_mask_by_keys_alone(visit: Callable[..., Any], scan: Path) -> None:
    page = visit()

    def tab_to(selector: str) -> None:
        """Go on by Tab until the focus, which is always seen, is there."""
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
                return
        pytest.fail(f"Tab does not lead to {selector}")

    tab_to("#mx-file button")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(str(scan))
    page.wait_for_selector("#mx-first .mx-viewer:not(.mx-bare)")
    tab_to("#mx-text textarea")
    page.keyboard.type(TEXT)
    tab_to("#mx-segment")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#mx-first {ANSWERED}")
    tab_to("#mx-first .mx-stage")
    tab_to("#mx-first [data-do=mask]")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "my scan (1)_mask.png"
