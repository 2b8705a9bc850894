"""Picture files made small and put inside a page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

_PICTURE_WIDTH = 1600  # pixels; twice a reader's column, for sharp screens
_JPEG_QUALITY = 88
_COLOURS_OF_A_DRAWING = 4096


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes:
        caption: below it, may be empty.
        alternative: read out where the picture cannot be seen.
        source: the picture itself, as a data URI.
    """

    caption: str
    alternative: str
    source: str


def picture_groups(pictures: Sequence[tuple[str, Path]]) -> dict[str, list[Picture]]:
    """Read (caption, file) pairs, a caption being "group" or "group: what is shown"; by group, in their order."""
    groups: dict[str, list[Picture]] = {}
    for caption, path in pictures:
        group, _, shown = caption.partition(": ")
        groups.setdefault(group, []).append(Picture(shown, shown or path.stem, _data_uri(path)))
    return groups


def _data_uri(path: Path) -> str:
    """A picture file made small: JPEG for scans, PNG for drawings, which have few colours and sharp edges."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_PICTURE_WIDTH, 4 * _PICTURE_WIDTH), Image.Resampling.LANCZOS)
    drawing = picture.getcolors(_COLOURS_OF_A_DRAWING) is not None
    buffer = io.BytesIO()
    if drawing:
        picture.save(buffer, "png")
    else:
        picture.save(buffer, "jpeg", quality=_JPEG_QUALITY, subsampling=0)
    kind = "png" if drawing else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
