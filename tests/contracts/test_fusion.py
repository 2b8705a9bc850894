"""What every fusion promises, over all YAMLs of conf/fusion."""

import pytest

from medsam_exp.testing.sam import check_fusion
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("fusion"))
def test_contract(choice: str) -> None:
    check_fusion(composed(f"fusion={choice}").fusion)
