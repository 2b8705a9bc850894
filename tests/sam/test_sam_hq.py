"""SAM-HQ's published layout, by a table from its authors' code; what it computes is in test_transformers_models.py."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.huggingface_layout import from_huggingface
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.sam_hq import sam_hq_names
from tests.sam.layouts import paired_layout, sam_hq_layout
from tests.sam.small_networks import small_network, small_sam_hq


@pytest.mark.parametrize("size", ["b", "l", "h"])
def test_every_published_tensor_has_its_place(size: str) -> None:
    with torch.device("meta"):
        network = FAMILIES[f"sam_hq_{size}"].make().network
        stored = {name: torch.empty(shape) for name, shape in sam_hq_layout(f"vit_{size}").items()}
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in sam_hq_names(stored, network).items()} == wanted


@pytest.mark.parametrize("layout", ["the authors'", "transformers'"])
def test_each_weight_comes_to_its_name(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "sam_hq_b", replace(FAMILIES["sam_hq_b"], build=small_sam_hq))
    network = small_network("sam_hq_b")
    stored = weights = network.state_dict()
    if layout == "the authors'":
        further = {its: name for name, (_, its) in paired_layout("sam_hq", V=32).items()}
        of_sam = {name: value for name, value in weights.items() if name not in further}
        stored = from_huggingface(of_sam) | {own: weights[its] for its, own in further.items()}
    torch.save(stored, tmp_path / "weights.pth")
    loaded = load_sam("sam_hq_b", str(tmp_path / "weights.pth")).network.state_dict()
    assert loaded.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(loaded[name], value), name
