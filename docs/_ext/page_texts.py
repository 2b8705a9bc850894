"""Writes the text of all pages into one script: the search takes excerpts from it where pages are opened as files."""

import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_ARTICLE = re.compile(r'<article role="main"[^>]*>(.*?)</article>', re.S)
_HEADER_LINK = re.compile(r'<a class="headerlink".*?</a>', re.S)
_BLOCK_END = re.compile(r"</(?:d[dt]|p|li|t[dhr]|h\d|div)>")
_OTHER_THAN_SECTIONS = re.compile(r"<(?!/?section\b)[^>]*>")


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook the writing onto the end of a build."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Sphinx, failure: Exception | None) -> None:
    if failure or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    texts = {name: page_text((folder / f"{name}.html").read_text()) for name in sorted(app.env.found_docs)}
    (folder / "_static" / "page_texts.js").write_text(f"const PAGE_TEXTS = {json.dumps(texts)};\n")


def page_text(page: str) -> str:
    """What a page of the theme says, with no tags but those of its sections, by which the search cuts."""
    found = _ARTICLE.search(page)
    bare = _OTHER_THAN_SECTIONS.sub("", _BLOCK_END.sub(" ", _HEADER_LINK.sub("", found[1] if found else "")))
    return re.sub(r"\s+", " ", bare)
