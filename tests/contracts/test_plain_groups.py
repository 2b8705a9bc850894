"""What every choice of a group promises, over all its YAMLs, where the configuration needs nothing besides."""

import pytest

from medsam_exp import testing
from tests.compose import choices, composed

CHECKS = {
    "component_filter": testing.check_component_filter,
    "fusion": testing.check_fusion,
    "loss": testing.check_loss,
    "mask_filter": testing.check_mask_filter,
    "presence": testing.check_presence,
    "text_saliency": testing.check_text_saliency,
    "veto": testing.check_veto,
}
ASKS_A_NETWORK = ("presence", "sam3")
"""SAM 3 gives the score itself; its own tests hold it against the network."""


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, choice) for group in CHECKS for choice in choices(group) if (group, choice) != ASKS_A_NETWORK],
)
def test_contract(group: str, choice: str) -> None:
    CHECKS[group](composed(f"{group}={choice}")[group])
