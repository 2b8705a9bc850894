"""The app on a free port, and pages in headless Chromium that may ask loopback only."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from medsam_exp.data.phantom.draw import draw_phantom
from tests.chromium import CHROMIUM, DESKTOP, FLAGS, lacking

TEXT = "big spiculated opaque tumor in the middle right"
_HARMLESS = "upload_progress"  # Gradio asks how a file comes on that has arrived meanwhile


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("gradio", reason="gradio is not installed (make setup)")
    from medsam_exp.cli.app.server import running_app

    with running_app("127.0.0.1", port=0, megabytes=1, megapixels=1, warm=False) as blocks:
        yield blocks.local_url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make setup)")
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(address: str, browser: Any) -> Iterator[Callable[..., Any]]:
    """Open the app in a tab of its own; afterwards no error may stand in the console, no other host been asked."""
    problems: list[str] = []
    hosts: set[str | None] = set()
    contexts = []

    def hear(said: Any) -> None:
        if said.type == "error" and _HARMLESS not in said.location["url"] and said.text != "Response":
            problems.append(said.text)

    def opened(size: tuple[int, int] = DESKTOP) -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, accept_downloads=True, has_touch=size != DESKTOP
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: hosts.add(urlsplit(asked.url).hostname))
        page.set_default_timeout(60_000)
        page.goto(address)
        page.wait_for_selector(".mx-examples button")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
    assert hosts - {None, ""} <= {"127.0.0.1", "localhost"}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "my scan (1).png"
    Image.fromarray(draw_phantom(2, 1).image).save(path)
    return path
