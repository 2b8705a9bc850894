"""Every choice of conf/text_saliency on the embedded CLIP: any text and image, the same each time."""

import pytest

from medsam_exp.testing.saliency import check_text_saliency
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("text_saliency"))
def test_contract(choice: str) -> None:
    check_text_saliency(composed(f"text_saliency={choice}").text_saliency)
