"""Every choice of conf/nnunet_schedule: a positive rate for each epoch, the same each time, and none beyond the end."""

import pytest
from omegaconf import OmegaConf

from medsam_exp.config.signatures import signature_problems
from medsam_exp.testing.training import check_nnunet_schedule
from tests.compose import CONF, choices

ONE_CYCLE = {"poly"}


@pytest.mark.parametrize("choice", choices("nnunet_schedule"))
def test_contract(choice: str) -> None:
    node = OmegaConf.load(CONF / "nnunet_schedule" / f"{choice}.yaml")
    assert list(signature_problems(OmegaConf.create({"nnunet_schedule": node}))) == []
    check_nnunet_schedule(node, cyclic=choice not in ONE_CYCLE)
