"""What every contrastive loss promises, over all YAMLs of conf/loss."""

import pytest

from medsam_exp.testing.training import check_loss
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("loss"))
def test_contract(choice: str) -> None:
    check_loss(composed(f"loss={choice}").loss)
