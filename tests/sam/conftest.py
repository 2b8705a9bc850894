"""A small SAM in two copies: segment-anything's own, and ours with the same weights."""

import copy
from dataclasses import dataclass

import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.model import SamModel
from tests.sockets import refuse_sockets


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in this folder may reach for the network."""
    refuse_sockets(monkeypatch)


def randomise_positions(sam: Sam) -> Sam:
    """Give the positions, which start at zero, values that matter."""
    for name, parameter in sam.image_encoder.named_parameters():
        if "rel_pos" in name or name == "pos_embed":
            torch.nn.init.normal_(parameter, std=0.5)
    return sam


@dataclass(frozen=True)
class Pair:
    reference: Sam
    ours: SamModel

    @property
    def predictor(self) -> SamPredictor:
        return SamPredictor(self.reference)


@pytest.fixture(scope="session")
def pair() -> Pair:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reference = randomise_positions(build_tiny_sam()).eval()
    return Pair(reference, SamModel(copy.deepcopy(reference)).eval())
