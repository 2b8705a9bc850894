"""What every presence score promises, over all YAMLs of conf/presence: its files are there, nothing is loaded."""

from pathlib import Path

import pytest

from medsam_exp.config.build import build, weight_files
from tests.compose import choices, composed
from tests.text_segmenter.small import saved


@pytest.mark.parametrize("choice", choices("presence"))
def test_contract(choice: str, tmp_path: Path) -> None:
    own = [f"presence.model={saved('sam3', tmp_path)}"] if choice == "sam3" else []
    node = composed(f"presence={choice}", *own).presence
    assert all(path.is_file() for path in weight_files(node))
    scorer = build(node)
    assert scorer.calibrated_on is None or scorer.calibrated_on
