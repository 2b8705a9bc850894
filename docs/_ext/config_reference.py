"""Writes the pages of `reference/` before Sphinx reads them."""

from pathlib import Path
from typing import Any

from config_pages import reference_pages
from sphinx.application import Sphinx
from written_pages import write_pages

from medsam_exp.runtime.conf_folder import conf_folder


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook the writing into the beginning of a build."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Sphinx) -> None:
    write_pages(Path(app.srcdir) / "reference", reference_pages(conf_folder()))
