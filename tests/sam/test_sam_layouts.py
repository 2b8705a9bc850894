"""Published checkpoints fit, by name and shape; the tables come from their publishers' code, not from ours."""

import math

import pytest
import torch

from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from tests.sam.layouts import published_layout

ENCODERS = {"vit_b": "vit_b", "vit_l": "vit_l", "vit_h": "vit_h", "medsam": "vit_b", "sam_med2d": "sam_med2d"}


@pytest.mark.parametrize(
    ("encoder", "millions", "tensors"),
    [("vit_b", 93.7, 314), ("vit_l", 312.3, 482), ("vit_h", 641.1, 594), ("sam_med2d", 271.2, 386)],
)
def test_the_tables_have_the_published_number_of_parameters(
    encoder: str, millions: float, tensors: int
) -> None:
    shapes = published_layout(encoder)
    assert len(shapes) == tensors
    assert round(sum(map(math.prod, shapes.values())) / 1e6, 1) == millions


@pytest.mark.parametrize("architecture", ENCODERS)
def test_the_network_has_the_published_names_and_shapes(architecture: str) -> None:
    with torch.device("meta"):
        state = SamModel(FAMILIES[architecture].build()).state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == published_layout(ENCODERS[architecture])


def test_every_published_family_has_a_table() -> None:
    assert set(ENCODERS) == set(FAMILIES) - {"tiny"}


@pytest.mark.parametrize(
    ("chosen", "stored", "advice"),
    [
        ("vit_b", "sam_med2d", "this looks like sam_med2d, so choose sam=sam_med2d"),
        ("medsam", "sam_med2d", "this looks like sam_med2d, so choose sam=sam_med2d"),
        ("sam_med2d", "vit_b", "this looks like vit_b or medsam, so choose sam=vit_b or sam=medsam"),
        ("vit_b", "vit_h", "this looks like vit_h, so choose sam=vit_h"),
    ],
)
def test_weights_of_another_family_are_recognised(
    chosen: str, stored: str, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    """By the published table alone; tensors on the meta device have shapes and no memory."""
    state = {name: torch.empty(shape, device="meta") for name, shape in published_layout(stored).items()}
    monkeypatch.setattr("medsam_exp.sam.load.read_state_dict", lambda _: state)
    (tmp_path / "unnamed.pth").touch()
    with pytest.raises(Exception, match=rf"does not fit {chosen}; {advice}:"):
        load_sam(chosen, str(tmp_path / "unnamed.pth"))
