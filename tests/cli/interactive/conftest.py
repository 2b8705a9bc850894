"""A drawn scan as a file, and one session for a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from medsam_exp.cli.interactive.session import Session
from medsam_exp.data.phantom.draw import draw_phantom

TEXT = "big spiculated opaque tumor in the middle right"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest X-ray with a tumour on the right and an air cyst on the left."""
    path = tmp_path_factory.mktemp("scan") / "chest, (1).png"
    Image.fromarray(draw_phantom(2, 1).image).save(path)
    return path


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as opened:
        yield opened
