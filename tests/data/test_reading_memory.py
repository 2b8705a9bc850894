"""Reading an image takes at most four times what it takes decoded, as the system counts in a process of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.data.decoding import read_image
from medsam_exp.data.masks import read_mask
from medsam_exp.types import UserError
from tests.data.volumes.synthetic import dicom_image
from tests.fuzz.guard import peak_of
from tests.fuzz.png import png

_SIDE = 2400
_GRADIENT = np.add.outer(np.arange(_SIDE), np.arange(_SIDE))


def _deep(channels: int) -> np.ndarray:
    return np.stack([(_GRADIENT * (13 + n)).astype(np.uint16) for n in range(channels)], axis=-1)


def _shallow(channels: int) -> np.ndarray:
    return (_deep(channels) >> 8).astype(np.uint8)


def _pillow(values: np.ndarray, mode: str | None = None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        image = Image.fromarray(values)
        (image if mode is None else image.convert(mode)).save(path)

    return write


_CASES: dict[str, tuple[str, int, Callable[[Path], Any]]] = {
    "gray": ("png", 3, _pillow(_shallow(1)[..., 0])),
    "colour": ("png", 3, _pillow(_shallow(3))),
    "alpha": ("png", 4, _pillow(_shallow(4))),
    "palette": ("png", 3, _pillow(_shallow(1)[..., 0], "P")),
    "gray of 16 bits": ("png", 3, _pillow(_deep(1)[..., 0])),
    "colour of 16 bits": ("png", 6, lambda path: path.write_bytes(png(_deep(3)))),
    "alpha of 16 bits": ("png", 8, lambda path: path.write_bytes(png(_deep(4)))),
    "float": ("tif", 4, _pillow(_GRADIENT.astype(np.float32))),
    "photograph": ("jpg", 3, _pillow(_shallow(3))),
    "printed": ("jpg", 4, _pillow(_shallow(3), "CMYK")),
    "dicom": ("dcm", 3, lambda path: dicom_image(path, _deep(1)[..., 0].astype(np.int16))),
}


@pytest.mark.parametrize("name", _CASES)
def test_reading_takes_four_times_the_decoded_bytes_at_most(tmp_path: Path, name: str) -> None:
    suffix, stored, write = _CASES[name]
    path = tmp_path / f"a.{suffix}"
    write(path)
    read_image(path)  # imports what it needs
    assert peak_of(lambda: read_image(path)) <= 4 * stored * _SIDE**2 + (8 << 20)


@pytest.mark.parametrize("name", ["gray", "colour", "alpha", "gray of 16 bits", "float"])
def test_a_picture_in_the_place_of_a_mask_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    suffix, stored, write = _CASES[name]
    path = tmp_path / f"a.{suffix}"
    write(path)

    def refused() -> None:
        with pytest.raises(UserError, match=r"colours|more than two levels"):
            read_mask(path)

    refused()
    assert peak_of(refused) <= 4 * stored * _SIDE**2 + (8 << 20)
