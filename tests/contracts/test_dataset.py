"""What every dataset promises: drawn scans, a folder, one image; other choices are folders under other names."""

from pathlib import Path

import pytest

from medsam_exp.testing.data import check_dataset
from tests.clean_data import Clean
from tests.compose import choices, composed

DRAWN = [choice for choice in choices("data") if choice.startswith("phantom")]


@pytest.mark.parametrize("choice", DRAWN)
def test_drawn_scans(choice: str) -> None:
    check_dataset(composed(f"data={choice}", "data.count=3").data)


def test_a_folder_and_an_image_of_it(tmp_path: Path) -> None:
    Clean(tmp_path)
    check_dataset(composed("data=folder", f"data.root={tmp_path}").data)
    image = next((tmp_path / "test_images").iterdir())
    check_dataset(composed("data=image", f"data.path={image}").data)
