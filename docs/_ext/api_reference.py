"""Writes the pages of `reference/api/` before Sphinx reads them, and hands it docstrings as reStructuredText."""

from pathlib import Path
from typing import Any

from api_pages import api_pages, as_rst, spaced
from sphinx.application import Sphinx
from written_pages import write_pages

import medsam_exp

_BEFORE_NAPOLEON = 400


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook the writing into the beginning of a build."""
    app.connect("builder-inited", _write)
    app.connect("autodoc-process-docstring", _as_rst, priority=_BEFORE_NAPOLEON)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Sphinx) -> None:
    package = Path(str(medsam_exp.__file__)).parent
    write_pages(Path(app.srcdir) / "reference" / "api", api_pages(package))


def _as_rst(_app: Sphinx, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = as_rst(spaced(lines) if what == "module" else lines)
