"""The web app and its visitor in one process: the page is served, asked for a mask of each image, and ended."""

import json
import os
import signal
import socket
import tempfile
import threading
import time
import traceback
import uuid
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from medsam_exp.cli.main import main
from medsam_exp.runtime.digests import write_atomically

TEXT = "a bright round lesion"
_WITHOUT_DRAFT = "patch_text"
"""A saliency method so quick that the app shows the answer alone."""
_ANSWER_S = 120.0


def ask_app(words: Sequence[str]) -> None:
    """Serve the app, and leave masks of all images in a folder, as a run would; it is ended as by Ctrl-C.

    Args:
        words: the folder of outputs, which holds temporary files too, and that of the data.
    """
    outputs, data = map(Path, words)
    temporary = outputs / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def visit() -> None:
        try:
            tab = Tab(f"http://127.0.0.1:{port}")
            for path in sorted((data / "test_images").iterdir()):
                write_atomically(outputs / "run" / "masks" / path.name, tab.mask_of(path, TEXT))
        except BaseException:
            traceback.print_exc()  # which no command may print
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=visit, daemon=True).start()
    main(["app", "--port", str(port)])


class Tab:
    """A browser's tab, as far as the server sees it.

    Args:
        address: of the page, which need not be served yet.
    """

    def __init__(self, address: str) -> None:
        self._address, self._tab = address, uuid.uuid4().hex
        config = json.loads(self._when_served("config"))
        parts = {part["props"].get("elem_id"): part for part in config["components"]}
        values = {part["id"]: part["props"].get("value") for part in config["components"]}
        values[parts["mx-saliency"]["id"]] = _WITHOUT_DRAFT
        events = {
            tuple(target): event["id"] for event in config["dependencies"] for target in event["targets"]
        }
        self._upload = events[parts["mx-file"]["id"], "upload"]
        pressed = events[parts["mx-segment"]["id"], "click"]
        asked = next(event for event in config["dependencies"] if event["trigger_after"] == pressed)
        self._ask = asked["id"]
        self._inputs = [values[part] for part in asked["inputs"]]  # the text is the first
        self._shown = asked["outputs"].index(parts["mx-first"]["id"])

    def mask_of(self, path: Path, text: str) -> bytes:
        """The PNG of the answer's mask."""
        (place,) = json.loads(self._post("gradio_api/upload", *_multipart(path)))
        file = {"path": place, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
        self._event(self._upload, [[file]])
        answer = json.loads(self._event(self._ask, [text, *self._inputs[1:]])[self._shown])
        return b64decode(answer["mask_png"].partition(",")[2])

    def _event(self, number: int, data: list[Any]) -> list[Any]:
        """What an event gives, at the first of its steps; what changes is sent after it."""
        body = {"data": data, "fn_index": number, "session_hash": self._tab, "event_data": None}
        self._post("gradio_api/queue/join", json.dumps(body).encode(), "application/json")
        found: list[Any] = []
        with urlopen(
            f"{self._address}/gradio_api/queue/data?session_hash={self._tab}", timeout=_ANSWER_S
        ) as lines:
            for line in lines:
                said = json.loads(line[5:]) if line.startswith(b"data:") else {}
                if said.get("msg") == "process_generating" and not found:
                    found = said["output"]["data"]
                if said.get("msg") == "process_completed":
                    if not said["success"]:
                        raise RuntimeError(str(said))
                    return found or list(said["output"]["data"])
        raise RuntimeError("the app ended amid its answer")

    def _post(self, place: str, body: bytes, kind: str) -> bytes:
        request = Request(f"{self._address}/{place}", body, {"Content-Type": kind})
        with urlopen(request, timeout=_ANSWER_S) as answer:
            content: bytes = answer.read()
        return content

    def _when_served(self, place: str) -> bytes:
        end = time.monotonic() + _ANSWER_S
        while True:
            with suppress(URLError, ConnectionError):
                content: bytes = urlopen(f"{self._address}/{place}", timeout=_ANSWER_S).read()
                return content
            if time.monotonic() > end:
                raise RuntimeError("the app is not served in time")
            time.sleep(0.05)


def _multipart(path: Path) -> tuple[bytes, str]:
    border = uuid.uuid4().hex
    head = f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    return (
        head.encode() + path.read_bytes() + f"\r\n--{border}--\r\n".encode(),
        f"multipart/form-data; boundary={border}",
    )
