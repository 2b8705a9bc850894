"""Every choice of conf/postprocess binarises every kind of map: right shape, the same each time, inputs left alone."""

import pytest

from medsam_exp.config.build import build
from medsam_exp.testing.masks import check_postprocess
from medsam_exp.types import UserError
from tests.compose import choices, composed


@pytest.mark.parametrize("choice", choices("postprocess"))
def test_contract(choice: str) -> None:
    try:
        postprocess = build(composed(f"postprocess={choice}").postprocess)
    except UserError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))
    check_postprocess(postprocess)
