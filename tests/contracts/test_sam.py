"""What every SAM promises, over all YAMLs of conf/sam: small, with random weights, but in each family's framing."""

import pytest

from medsam_exp.config.build import build
from medsam_exp.testing.sam import check_sam
from tests.compose import choices, composed
from tests.sam.small_networks import small_model


@pytest.mark.parametrize("choice", choices("sam"))
def test_contract(choice: str) -> None:
    node = composed(f"sam={choice}").sam
    check_sam(build(node) if node.architecture == "tiny" else small_model(node.architecture))
