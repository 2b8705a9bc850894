"""A run's pictures: what each shows, as files of the run's folder and for its page; drawn where they are not kept."""

import base64
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from medsam_exp.report.kept import Kept
from medsam_exp.report.png_file import save_pixels
from medsam_exp.report.section import FigureFile
from medsam_exp.report.web.render import data_uri
from medsam_exp.runtime.digests import text_digest, write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.recent import Recent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 1840  # pixels; twice a reader's column, for sharp screens, and a row of four panels, which need no resampling
_JPEG_QUALITY = 88
_COLOURS_OF_A_DRAWING = 4096
_written: Recent[dict[str, str]] = Recent(most=60)
"""By pixels; about 1 MB each."""


@dataclass(frozen=True)
class Picture:
    """A picture that is drawn when it is asked for.

    Attributes:
        caption: "group" or "group: what is shown".
        name: of its file without ending, another one for each picture of a run.
        shows: all that decides what is drawn, beside the keys of the run's stages and the code; JSON-able.
        draw: makes it.
    """

    caption: str
    name: str
    shows: Any
    draw: "Callable[[], Figure | Image.Image]"


def save_pictures(
    pictures: Iterable[Picture], folder: Path, root: Path, keys: Mapping[str, str]
) -> list[FigureFile]:
    """Write pictures into a folder, which is made for the first of them; only those that changed are drawn.

    Args:
        pictures: in their order on the page.
        folder: of the run's figures.
        root: folder of all artifacts.
        keys: of the run's stages.
    """
    pictures = list(pictures)
    shows = {one.name: text_digest(json_text(one.shows)) for one in pictures}
    files = []
    with Kept(root, "figures", keys, shows) as kept:
        for one in pictures:
            part = kept.part(one.name, partial(_drawn, one))
            path = folder / f"{one.name}.png"
            write_atomically(path, base64.b64decode(part["png"]), durable=False)
            files.append(FigureFile(one.caption, path, part["source"]))
    return files


def _drawn(picture: Picture) -> dict[str, str]:
    """The picture as a PNG file, base64, and as it stands in the page; equal ones of several runs are written once."""
    drawn = picture.draw()
    if not isinstance(drawn, Image.Image):
        from medsam_exp.report.figures.style import pixels_of

        drawn = pixels_of(drawn)
    pixels = hashlib.sha256(drawn.tobytes()).digest()
    return _written.of((drawn.mode, drawn.size, pixels), partial(_as_files, drawn))


def _as_files(drawn: Image.Image) -> dict[str, str]:
    buffer = io.BytesIO()
    save_pixels(drawn, buffer)
    return {"png": base64.b64encode(buffer.getvalue()).decode(), "source": embedded(drawn)}


def embedded(picture: Image.Image) -> str:
    """A picture made small for the page: JPEG for scans, PNG for drawings, which have few colours and sharp edges."""
    small = picture.convert("RGB")
    small.thumbnail((_WIDTH, 4 * _WIDTH), Image.Resampling.LANCZOS)
    if small.getcolors(_COLOURS_OF_A_DRAWING) is not None:
        return data_uri(small, "png")
    return data_uri(small, "jpeg", quality=_JPEG_QUALITY, subsampling=0)
