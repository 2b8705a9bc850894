"""How much may come in where others choose it: in the app, and from an assistant."""

from pathlib import Path

from medsam_exp.runtime.errors import UserError

MEGABYTES = 64
"""Of a file, unless said otherwise."""
MEGAPIXELS = 40.0
"""Of an image, unless said otherwise."""
LETTERS = 1000
"""Of a text."""
_MEGAPIXEL = 1e6


def refuse_large(path: Path, name: str, megapixels: float, server: str) -> None:
    """Refuse an image by the size that its header declares, before a pixel is decoded.

    Args:
        path: the file.
        name: what its owner calls it.
        megapixels: at most.
        server: what was started with this limit, in words.

    Raises:
        UserError: it is too large, or no image.
    """
    from medsam_exp.data.decoding import declared_size  # imports Pillow

    height, width = declared_size(path)
    if height * width > megapixels * _MEGAPIXEL:
        found = f"{width} x {height} pixels, more than the {megapixels:g} megapixels that are taken here"
        raise UserError(
            f"{name} has {found}: shrink it, or start the {server} with a larger --max-megapixels"
        )


def refuse_long(text: str) -> None:
    """Refuse a text that no network would read to its end.

    Raises:
        UserError: it is too long.
    """
    if len(text) > LETTERS:
        found = f"{len(text):,} letters, more than the {LETTERS:,} that are taken here"
        raise UserError(f"the text has {found}: shorten it")
