"""The app starts where it can, says why where it cannot, and leaves nothing behind."""

import re
import sys
import tempfile
from pathlib import Path

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
