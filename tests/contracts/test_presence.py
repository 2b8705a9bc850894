"""Every choice of conf/presence: a number in [0, 1] that rises with the match of image and text."""

import pytest

from medsam_exp.config.build import weight_files
from medsam_exp.testing.masks import check_presence
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("presence"))
def test_contract(choice: str) -> None:
    node = composed(f"presence={choice}").presence
    check_presence(node)
    assert all(path.is_file() for path in weight_files(node))
