"""Every choice of conf/component_filter keeps whole connected components of every kind of mask, and adds nothing."""

import pytest

from medsam_exp.testing.masks import check_component_filter
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("component_filter"))
def test_contract(choice: str) -> None:
    check_component_filter(composed(f"component_filter={choice}").component_filter)
