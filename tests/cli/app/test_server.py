"""The app starts where it can, says why where it cannot, and leaves nothing behind."""

import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.command import refusal


def test_without_gradio_it_says_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = refusal(capsys, ["app", "--port", "0"])
    assert re.search(
        r"^error: the local web app needs the package gradio.*pip install 'medsam-exp\[app\]'", said
    )
    assert not list(tmp_path.iterdir())


def test_importing_gradio_renews_no_stubs_beside_its_code() -> None:
    pytest.importorskip("gradio", reason="gradio is not installed (make setup)")
    code = """
import ast, inspect
told, looked = inspect.getfile, []
segment = ast.get_source_segment
ast.get_source_segment = lambda *given: looked.append(given) or segment(*given)
from medsam_exp.cli.app.server import _no_stubs_written
with _no_stubs_written():
    import gradio
assert inspect.getfile is told
assert gradio.Image.EVENTS
print(len(looked))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_the_page_is_answered_while_networks_load(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed (make setup)")
    from medsam_exp.cli.app.server import running_app

    begun, answered = threading.Event(), threading.Event()

    def begin(_: object) -> None:
        begun.set()
        answered.wait(60)

    monkeypatch.setattr("medsam_exp.cli.app.service.Service.begin", begin)
    with running_app("127.0.0.1", port=0, megabytes=1, megapixels=1) as blocks:
        assert begun.wait(60)
        try:
            assert b"<html" in urlopen(blocks.local_url, timeout=60).read()
            assert not answered.is_set()
        finally:
            answered.set()


def test_a_page_that_is_not_answered_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    gradio = pytest.importorskip("gradio", reason="gradio is not installed (make setup)")
    from medsam_exp.cli.app.server import running_app
    from medsam_exp.types import UserError

    monkeypatch.setattr(gradio.networking, "url_ok", lambda _: False)
    with (
        pytest.raises(UserError, match=r"page at 127\.0\.0\.1 is not answered in time: wait"),
        running_app("127.0.0.1", port=0, megabytes=1, megapixels=1, warm=False),
    ):
        pass
