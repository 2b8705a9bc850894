"""What every filter of SAM's mask promises, over all YAMLs of conf/mask_filter."""

import pytest

from medsam_exp.testing.masks import check_mask_filter
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("mask_filter"))
def test_contract(choice: str) -> None:
    check_mask_filter(composed(f"mask_filter={choice}").mask_filter)
