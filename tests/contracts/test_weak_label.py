"""Every choice of conf/weak_label: a known source; of zero-shot masks one short reason or none, always the same."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medsam_exp.config.signatures import signature_problems
from medsam_exp.testing.training import check_weak_label
from tests.compose import CONF, choices


@pytest.mark.parametrize("choice", choices("weak_label"))
def test_contract(choice: str, tmp_path: Path) -> None:
    node = OmegaConf.load(CONF / "weak_label" / f"{choice}.yaml")
    if OmegaConf.is_missing(node, "root"):
        node = OmegaConf.merge(node, {"root": str(tmp_path)})
    assert list(signature_problems(OmegaConf.create({"weak_label": node}))) == []
    check_weak_label(node)
