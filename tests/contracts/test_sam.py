"""What every SAM promises, over all YAMLs of conf/sam: small, with random weights, but in each family's framing."""

import pytest
import torch

from medsam_exp.config.build import build
from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.model import SamModel
from medsam_exp.sam.sam_med2d import build_sam_med2d
from medsam_exp.testing.sam import check_sam
from tests.compose import choices, composed


def small_network(architecture: str) -> SamModel:
    """The choice's kind of network, but narrow and random: full-size ones are for the slow tier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if architecture == "sam_med2d":
            network = build_sam_med2d(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
        else:
            network = build_tiny_sam()
    return SamModel(network, FAMILIES[architecture].framing(network.image_encoder.img_size)).eval()


@pytest.mark.parametrize("choice", choices("sam"))
def test_contract(choice: str) -> None:
    node = composed(f"sam={choice}").sam
    check_sam(build(node) if node.architecture == "tiny" else small_network(node.architecture))
