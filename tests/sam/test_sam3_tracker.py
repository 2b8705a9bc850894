"""Where SAM 3's tracker finds its weights; what it computes is in test_transformers_models.py."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.load import load_sam
from medsam_exp.types import UserError
from tests.sam.small_networks import SMALL, small_network


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Any:
    family = replace(FAMILIES["sam3_tracker"], build=SMALL["sam3_tracker"])
    monkeypatch.setitem(FAMILIES, "sam3_tracker", family)
    return small_network("sam3_tracker")


def in_a_file_of_all_of_sam3(name: str) -> str:
    if name.startswith("vision_encoder.neck."):
        return name.replace("vision_encoder.neck.", "tracker_neck.")
    return f"{'detector' if name.startswith('vision_encoder.') else 'tracker'}_model.{name}"


def test_the_trackers_weights_are_taken_out_of_all_of_sam3(network: Any, tmp_path: Path) -> None:
    weights = network.state_dict()
    others = (
        "detector_model.text_encoder.w",
        "tracker_model.memory_encoder.w",
        "tracker_neck.fpn_layers.3.proj1.bias",
    )
    stored = {in_a_file_of_all_of_sam3(name): value for name, value in weights.items()}
    torch.save(stored | dict.fromkeys(others, torch.ones(1)), tmp_path / "all.pt")
    torch.save(weights, tmp_path / "alone.pt")
    for file in ("all.pt", "alone.pt"):
        loaded = load_sam("sam3_tracker", str(tmp_path / file))
        for name, value in loaded.network.state_dict().items():
            assert torch.equal(value, weights[name]), name
        image = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():  # positions are no weights, and no file has them
            torch.testing.assert_close(
                loaded.encode(image), FAMILIES["sam3_tracker"].make(network).encode(image), rtol=0, atol=0
            )


def test_who_has_no_weights_is_told_that_they_are_gated(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"sam3 is not a file: ask for access at https://huggingface.co/facebook/sam3"
    ):
        load_sam("sam3_tracker", str(tmp_path / "sam3"))
