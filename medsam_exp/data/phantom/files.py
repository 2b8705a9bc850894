"""Drawn scans as PNG files that say of themselves that they were drawn."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from medsam_exp.types import RGBImage

_KEYWORD = "Source"
"""Of PNG's own for what made an image (PNG specification, 11.3.3.2)."""
_DRAWN = "drawn by medsam_exp"


def write_drawn(path: Path, image: RGBImage) -> None:
    """Write a drawn scan as a gray PNG.

    Args:
        path: of the file.
        image: (H, W, 3) uint8, gray.
    """
    said = PngInfo()
    said.add_text(_KEYWORD, _DRAWN)
    Image.fromarray(image).convert("L").save(path, format="PNG", pnginfo=said)


def is_drawn_file(path: Path) -> bool:
    """Whether a file says that it was written by `write_drawn`; its pixels are not looked at."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.info.get(_KEYWORD) == _DRAWN
    except (OSError, UnidentifiedImageError):
        return False
