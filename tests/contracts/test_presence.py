"""The files that decide a presence score are there, for every choice of conf/presence."""

import pytest

from medsam_exp.config.build import weight_files
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("presence"))
def test_weight_files(choice: str) -> None:
    assert all(path.is_file() for path in weight_files(composed(f"presence={choice}").presence))
