"""Writes the pages of `reference/` before Sphinx reads them; files that would not change are left alone."""

from pathlib import Path
from typing import Any

from config_pages import reference_pages
from sphinx.application import Sphinx

from medsam_exp.runtime.conf_folder import conf_folder


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook the writing into the beginning of a build."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    pages = reference_pages(conf_folder())
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
