"""A file server on this machine that fails in every way that servers and lines fail; it counts what is asked of it."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Behaviour:
    """What the server has and how it fails.

    `cuts` are bytes of the body after which the connection is dropped, one for each answer, then none. `answers` are
    statuses given first, one each. Everything may be changed between requests.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    ranges: bool = True
    tags: bool = True
    honours_if_range: bool = True
    says_length: bool = True
    kind: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    chunk: int = 1 << 16
    gate: threading.Event | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        b = self.server.behaviour
        path = re.sub(r"^https?://[^/]+", "", self.path)  # as a proxy is asked
        b.asked.append((self.path, self.headers.get("Range")))
        if b.answers:
            return self._only(b.answers.pop(0))
        if path not in b.files:
            return self._only(404)
        data = b.files[path]
        tag = f'"{hashlib.sha256(data).hexdigest()[:8]}"'
        start = self._start(data, tag)
        if start > 0 and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self._send(data, start, tag)
        return None

    def _start(self, data: bytes, tag: str) -> int:
        b = self.server.behaviour
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        stale = b.honours_if_range and condition is not None and condition != tag
        return int(asked[1]) if asked and b.ranges and not stale else 0

    def _send(self, data: bytes, start: int, tag: str) -> None:
        b = self.server.behaviour
        body = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", b.kind)
        if b.tags:
            self.send_header("ETag", tag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if b.says_length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        for name, value in b.headers.items():
            self.send_header(name, value)
        self.end_headers()
        cut = b.cuts.pop(0) if b.cuts else None
        sent = body if cut is None else body[:cut]
        b.bodies.append(len(sent))
        for at in range(0, len(sent), b.chunk):
            if b.gate is not None:
                b.gate.wait(30)
            self.wfile.write(sent[at : at + b.chunk])
        if cut is not None or not b.says_length:
            self.close_connection = True

    def _only(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, value in self.server.behaviour.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = Behaviour()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is what is tested."""


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def a_file(size: int = 300_000, seed: int = 0) -> bytes:
    """Bytes that repeat nowhere."""
    return b"".join(hashlib.sha256(f"{seed} {n}".encode()).digest() for n in range(size // 32 + 1))[:size]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def leftovers(folder: Path) -> list[str]:
    """Names of what lies in a folder besides lock files and remembered checksums."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock") and path.name != ".digests.json"
    )
