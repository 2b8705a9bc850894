"""Images and masks in the formats of pictures."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medsam_exp.data.decoding import read_image
from medsam_exp.data.masks import read_mask
from tests.fuzz.png import png
from tests.fuzz.reader import Files, Reader

_GRAY = np.arange(16 * 12, dtype=np.uint8).reshape(12, 16)
_COLOUR = np.stack((_GRAY, _GRAY[::-1], _GRAY[:, ::-1]), axis=-1)
_SQUARE = np.zeros((32, 32), np.uint8)
_SQUARE[8:24, 8:24] = 255


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, _GRAY)
    return buffer.getvalue()


def _deep_png() -> bytes:
    return png(_COLOUR.astype(np.uint16) * 257)


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def _palette() -> Image.Image:
    image = Image.fromarray(_SQUARE // 255).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0])
    return image


_IMAGES: dict[str, Callable[[], bytes]] = {
    "gray.png": lambda: _saved(Image.fromarray(_GRAY), "PNG"),
    "colour.png": lambda: _saved(Image.fromarray(_COLOUR), "PNG"),
    "deep.png": _deep_png,
    "gray16.png": lambda: _saved(Image.fromarray(_GRAY.astype(np.uint16) * 257), "PNG"),
    "colour.jpg": lambda: _saved(Image.fromarray(_COLOUR), "JPEG", exif=_exif()),
    "cmyk.jpg": lambda: _saved(Image.fromarray(_COLOUR).convert("CMYK"), "JPEG"),
    "gray.tif": lambda: _saved(Image.fromarray(_GRAY), "TIFF"),
    "float.tif": lambda: _saved(Image.fromarray(_GRAY.astype(np.float32)), "TIFF"),
    "packed.tif": lambda: _saved(Image.fromarray(_COLOUR), "TIFF", compression="tiff_lzw"),
    "colour.bmp": lambda: _saved(Image.fromarray(_COLOUR), "BMP"),
    "colour.webp": lambda: _saved(Image.fromarray(_COLOUR), "WEBP"),
    "gray.gif": lambda: _saved(Image.fromarray(_GRAY), "GIF"),
    "gray.npy": _npy,
}
_MASKS: dict[str, Callable[[], bytes]] = {
    "mask.png": lambda: _saved(Image.fromarray(_SQUARE), "PNG"),
    "palette.png": lambda: _saved(_palette(), "PNG"),
    "alpha.png": lambda: _saved(Image.fromarray(np.dstack((_SQUARE * 0,) * 3 + (_SQUARE,))), "PNG"),
    "mask.tif": lambda: _saved(Image.fromarray(_SQUARE), "TIFF"),
    "mask.jpg": lambda: _saved(Image.fromarray(_SQUARE), "JPEG"),
}


def _image(name: str, make: Callable[[], bytes]) -> Reader:
    def read(folder: Path) -> object:
        return read_image(folder / name)

    def files() -> Files:
        return {name: make()}

    return Reader(f"image {name}", files, read)


def _mask(name: str, make: Callable[[], bytes]) -> Reader:
    def read(folder: Path) -> object:
        return read_mask(folder / name), read_mask(folder / name, {1, 255})

    def files() -> Files:
        return {name: make()}

    return Reader(f"mask {name}", files, read)


READERS = (
    *(_image(name, make) for name, make in _IMAGES.items()),
    *(_mask(name, make) for name, make in _MASKS.items()),
)
