"""Servers that refuse, hang or fail: the run goes on, is kept offline, and does not wait longer than it may."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medsam_exp.report.logger.job import TrackedRun
from medsam_exp.report.logger.sync import wandb_runs
from medsam_exp.report.logger.wandb import WandbTracker
from tests.report.logger import offline

PATIENCE_S = 4.0
BUSY_MACHINE_S = 30.0


@contextmanager
def server(status: int | None) -> Iterator[str]:
    """Answers everything with a status; None never answers, 0 is no server at all."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if status is None:
                released.wait(120)
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    if status == 0:
        yield "http://127.0.0.1:1"
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        released.set()
        listening.shutdown()


@pytest.mark.parametrize("status", [0, None, 500, 401], ids=["refuses", "hangs", "fails", "unknown key"])
def test_the_run_is_kept_offline_in_good_time(
    status: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with server(status) as address, caplog.at_level(logging.WARNING, "medsam_exp"):
        monkeypatch.setenv("WANDB_BASE_URL", address)
        began = time.monotonic()
        with WandbTracker(TrackedRun(tmp_path, "run"), patience_s=PATIENCE_S) as tracker:
            tracker.log({"a": 1.0})
            tracker.summarise({"metrics": {}}, {})
        seconds = time.monotonic() - began
    assert seconds < 2 * PATIENCE_S + BUSY_MACHINE_S
    assert "make wandb-sync" in caplog.text
    assert offline.exit_code(offline.records(tmp_path)) == 0
    assert list(wandb_runs(tmp_path).values()) == ["unsent"], "and nothing of the attempt is left"
