"""A page in headless Chromium, with real keys, by its DevTools protocol; tests skip where there is no Chromium."""

import asyncio
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-port=0"
)
_KEYS = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Escape": 27}


class Page:
    """A page that is open.

    Attributes:
        problems: what the console said of errors, warnings and refused loads.
        requests: addresses that the page asked for, other than itself and what it holds.
    """

    def __init__(self, send: Callable[..., Awaitable[Any]]) -> None:
        self._send = send
        self.problems: list[str] = []
        self.requests: list[str] = []

    async def ask(self, script: str) -> Any:
        """The value of an expression, awaited."""
        answer = await self._send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        """Press and let go of a key, as a hand does."""
        code = {"windowsVirtualKeyCode": _KEYS[key], "key": key, "code": key}
        text = {"text": "\r"} if key == "Enter" else {}
        await self._send("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        await self._send("Input.dispatchKeyEvent", type="keyUp", **code)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self._send("Input.insertText", text=text)

    async def pdf(self) -> bytes:
        """The page as it is printed, base64."""
        answer = await self._send("Page.printToPDF")
        return answer["data"].encode()

    def hear(self, event: dict[str, Any]) -> None:
        """Note what a reader would call a problem."""
        method, said = event["method"], event.get("params", {})
        if method == "Runtime.exceptionThrown" or (
            method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert")
        ):
            self.problems.append(json.dumps(said))
        if method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.problems.append(said["entry"]["text"])
        if method == "Network.requestWillBeSent":
            address = said["request"]["url"]
            if not address.startswith(("data:", "blob:", "file:")):
                self.requests.append(address)


def visit(path: Path, size: tuple[int, int], look: Callable[[Page], Awaitable[Any]], folder: Path) -> Any:
    """Open a page and look at it.

    Args:
        path: of the page.
        size: width and height of the window in pixels.
        look: what to do on the page, and what to return.
        folder: for the browser's own files.
    """
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    pytest.importorskip("aiohttp")
    return asyncio.run(asyncio.wait_for(_visited(path, size, look, folder), 150))


def chromium_flags() -> list[str]:
    """Options of a browser that waits for no debugger."""
    return [flag for flag in _FLAGS.split() if "debugging" not in flag]


@cache
def lacking() -> str | None:
    """Why there is no browser to look with, if so."""
    if CHROMIUM is None:
        return "chromium is not installed (apt-get install chromium)"
    with tempfile.TemporaryDirectory() as folder:
        blank = [CHROMIUM, *chromium_flags(), f"--user-data-dir={folder}", "--dump-dom", "about:blank"]
        try:
            subprocess.run(blank, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            return f"chromium does not start on this machine ({error})"
    return None


async def _visited(path: Path, size: tuple[int, int], look: Any, folder: Path) -> Any:
    async with _opened(folder) as (send, page):
        for domain in ("Runtime", "Log", "Network", "Page"):
            await send(f"{domain}.enable")
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        await send("Emulation.setDeviceMetricsOverride", **metrics)
        await send("Page.navigate", url=path.as_uri())
        while await page.ask(f"document.readyState + {json.dumps(path.name)}") != f"complete{path.name}" or (
            await page.ask("location.protocol") != "file:"
        ):
            await asyncio.sleep(0.05)
        found = await look(page)
        assert page.problems == []
        assert page.requests == []
        return found


@contextlib.asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[tuple[Callable[..., Awaitable[Any]], Page]]:
    """A browser with one empty page, and what sends it commands."""
    import aiohttp

    with _Browser(folder) as browser:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{browser.port}/json") as answer:
                address = next(e["webSocketDebuggerUrl"] for e in await answer.json() if e["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                numbers, waiting = itertools.count(1), {}

                async def send(method: str, **params: Any) -> Any:
                    number = next(numbers)
                    waiting[number] = asyncio.get_running_loop().create_future()
                    await socket.send_json({"id": number, "method": method, "params": params})
                    return await waiting[number]

                page = Page(send)

                async def listen() -> None:
                    async for message in socket:
                        content = message.json()
                        if "method" in content:
                            page.hear(content)
                        elif "error" in content:
                            waiting.pop(content["id"]).set_exception(RuntimeError(content["error"]))
                        else:
                            waiting.pop(content["id"]).set_result(content["result"])

                listening = asyncio.create_task(listen())
                yield send, page
                listening.cancel()


class _Browser:
    """The process of a browser, ended with the block."""

    def __init__(self, folder: Path) -> None:
        self._profile = folder / "profile"
        command = [str(CHROMIUM), *_FLAGS.split(), f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port = 0

    def __enter__(self) -> Self:
        told = self._profile / "DevToolsActivePort"
        for _ in range(600):
            if told.is_file() and len(lines := told.read_text().split()) == 2:
                self.port = int(lines[0])
                return self
            time.sleep(0.1)
        self._process.kill()
        raise AssertionError("chromium did not start")

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
