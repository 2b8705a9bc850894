"""The app starts where it can, says why where it cannot, and leaves nothing behind."""

import sys
import tempfile
from pathlib import Path

import pytest

from medsam_exp.cli.app.__main__ import main


def test_without_gradio_it_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(
        SystemExit,
        match=r"^error: the local web app needs the package gradio.*pip install 'medsam-exp\[app\]'",
    ):
        main(["--port", "0"])
    assert not list(tmp_path.iterdir())
