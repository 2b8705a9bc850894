"""How pictures are written as PNG files."""

from pathlib import Path
from typing import IO

from PIL import Image

DOTS_PER_INCH = 150
_COMPRESSION = 1  # of 9; a quarter of the time of 6, which is usual, for files that are hardly larger


def save_pixels(pixels: Image.Image, file: Path | IO[bytes]) -> None:
    """Write pixels as a PNG file, whose bytes depend on them alone."""
    pixels.save(file, "png", compress_level=_COMPRESSION, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
