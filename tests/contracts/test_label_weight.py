"""Every choice of conf/label_weight keeps the contract of its kind."""

import pytest
from omegaconf import OmegaConf

from medsam_exp.config.signatures import signature_problems
from medsam_exp.testing.training import check_label_weight
from tests.compose import CONF, choices


@pytest.mark.parametrize("choice", choices("label_weight"))
def test_contract(choice: str) -> None:
    node = OmegaConf.load(CONF / "label_weight" / f"{choice}.yaml")
    assert list(signature_problems(OmegaConf.create({"label_weight": node}))) == []
    check_label_weight(node)
