"""Every choice of conf/nnunet_loss: a mean over known pixels with right gradients, least where labels are believed."""

import pytest
from omegaconf import OmegaConf

from medsam_exp.config.signatures import signature_problems
from medsam_exp.testing.training import check_nnunet_loss
from tests.compose import CONF, choices


@pytest.mark.parametrize("choice", choices("nnunet_loss"))
def test_contract(choice: str) -> None:
    node = OmegaConf.load(CONF / "nnunet_loss" / f"{choice}.yaml")
    assert list(signature_problems(OmegaConf.create({"nnunet_loss": node}))) == []
    check_nnunet_loss(node)
