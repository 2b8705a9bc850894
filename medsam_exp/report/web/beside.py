"""What lies beside the page of many images: scripts, in a folder of the page's name, which it loads when it needs them.

A page that is opened from a file may load scripts that lie beside it, but no data.
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from medsam_exp.report.web.drawings import Drawings
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text

IMAGES_IN_PAGE = 1000
"""Of more images the scores and drawings lie beside the page, so that it stays under 20 MB however many there are."""
DRAWINGS_IN_PAGE = 12_000_000
"""Characters of drawings that a page holds; where they are more, scores and drawings lie beside it, too."""
_SCORES = "scores.js"
_EACH = 100  # images whose drawings are in one script: about a megabyte


class Beside:
    """The folder beside a page; what an earlier page had there is removed, and a page that holds everything has none.

    Args:
        page: the page's file; "report.html" has the folder "report".
    """

    def __init__(self, page: Path) -> None:
        self._folder = page.with_suffix("")
        self._written = 0
        for script in (self._folder / _SCORES, *self._folder.glob("images_*.js")):
            script.unlink(missing_ok=True)
        with suppress(OSError):  # not there, or not empty
            self._folder.rmdir()

    @property
    def folder(self) -> str:
        """Name of the folder."""
        return self._folder.name

    def write_scores(self, data: Mapping[str, Any]) -> None:
        """Write what the page's scripts make plots and tables from."""
        self._write(_SCORES, f"const reportData = {_json(data)};")

    def write_drawings(self, drawings: Drawings, *, rest: bool) -> None:
        """Move drawings into scripts, in the order in which they were added, so many in each.

        Args:
            drawings: their names stay.
            rest: whether they are the last; else what fills no script is left for the next call.
        """
        while len(drawings.images) >= (1 if rest else _EACH):
            part = drawings.take(list(islice(drawings.images, _EACH)))
            self._write(f"images_{self._written:04d}.js", f"addDrawings({_json(part)});")
            self._written += 1

    def index(self, drawings: Drawings) -> dict[str, Any]:
        """What the page's script reads in place of the drawings: where each image's are; JSON-able."""
        found = {"folder": self.folder, "each": _EACH, "names": list(drawings.names)}
        return {**drawings.content, "beside": found}

    def _write(self, name: str, script: str) -> None:
        write_atomically(self._folder / name, f"{script}\n".encode(), durable=False)


def _json(content: Any) -> str:
    return json_text(content, separators=(",", ":"))
