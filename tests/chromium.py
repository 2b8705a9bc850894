"""A page in headless Chromium, with real keys, driven by Playwright; tests skip where there is no Chromium."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
_LONGEST = 150  # seconds for one page


class Page:
    """A page that is open.

    Attributes:
        problems: what the console said of errors, warnings and refused loads.
        requests: addresses that the page asked for, other than itself and what it holds.
    """

    def __init__(self, page: Any) -> None:
        self._page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._hear)
        page.on("request", self._note)

    async def ask(self, script: str) -> Any:
        """The value of an expression, awaited; names that the page's scripts declare are known to it."""
        return await self._page.evaluate(f"eval({json.dumps(script)})")

    async def press(self, key: str) -> None:
        """Press and let go of a key, as a hand does."""
        await self._page.keyboard.press(key)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self._page.keyboard.insert_text(text)

    async def resize(self, width: int, height: int) -> None:
        """Make the window so large."""
        await self._page.set_viewport_size({"width": width, "height": height})

    async def darken(self) -> None:
        """Prefer dark colours from now on."""
        await self._page.emulate_media(color_scheme="dark")

    async def pdf(self) -> bytes:
        """The page as it is printed."""
        return await self._page.pdf()

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning", "assert"):
            self.problems.append(message.text)

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("data:", "blob:", "file:")):
            self.requests.append(request.url)


def visit(path: Path, size: tuple[int, int], look: Callable[[Page], Awaitable[Any]]) -> Any:
    """Open a page and look at it.

    Args:
        path: of the page.
        size: width and height of the window in pixels.
        look: what to do on the page, and what to return.
    """
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    return asyncio.run(asyncio.wait_for(_visited(path, size, look), _LONGEST))


@cache
def lacking() -> str | None:
    """Why there is no browser to look with, if so."""
    if CHROMIUM is None:
        return "chromium is not installed (apt-get install chromium)"
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS).close()
    except Error as error:
        return f"chromium does not start on this machine ({error})"
    return None


async def _visited(path: Path, size: tuple[int, int], look: Callable[[Page], Awaitable[Any]]) -> Any:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        width, height = size
        phone = size == PHONE
        opened = await browser.new_page(viewport={"width": width, "height": height}, is_mobile=phone)
        page = Page(opened)
        await opened.goto(path.as_uri())
        found = await look(page)
        await browser.close()
    assert page.problems == []
    assert page.requests == []
    return found
