import copy

import numpy as np
import pytest
import torch

from medsam_exp.sam.model import SamModel
from medsam_exp.sam.tiny_vit import build_tiny_vit_sam, tiny_vit_names
from medsam_exp.training.precision import encoders_in
from tests.sam.layouts.tiny_vit import tiny_vit_layout
from tests.sam.small_networks import SMALL_TINY_VIT
from tests.sam.tiny_vit_reference import encode

State = dict[str, torch.Tensor]
STEMS = {4: (3, 3), 1: (1, 1)}
"""Side of the stem's kernels by pixels to a cell of its grid."""


def encoder_weights(stem: int) -> State:
    """Random weights of a narrow encoder by the publisher's names, each with a value of its own."""
    sides = {key: SMALL_TINY_VIT[key] for key in ("widths", "heads", "windows", "channels")}
    shapes = tiny_vit_layout(**sides)
    for name, side in zip(("seq.0", "seq.2"), STEMS[stem], strict=True):
        key = f"image_encoder.patch_embed.{name}.c.weight"
        shapes[key] = (*shapes[key][:2], side, side)
    generator = torch.Generator().manual_seed(stem)
    drawn = {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    positive = {name: 1 + value.abs() for name, value in drawn.items() if "running_var" in name}
    ones = {name: 1 + value for name, value in drawn.items() if name.endswith(("bn.weight", "norm.weight"))}
    counts = {name: torch.tensor(7) for name in drawn if name.endswith("num_batches_tracked")}
    return drawn | positive | ones | counts


def loaded(stem: int) -> tuple[SamModel, State]:
    """Our network without memory of its own, filled from the publisher's names; and these weights."""
    side = 32 * stem
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        heads = build_tiny_vit_sam(side, stem=stem, **SMALL_TINY_VIT).state_dict()
    weights = encoder_weights(stem)
    rest = {name: value for name, value in heads.items() if not name.startswith("image_encoder.")}
    with torch.device("meta"):
        sam = SamModel(build_tiny_vit_sam(side, stem=stem, **SMALL_TINY_VIT))
    sam.load_state_dict(tiny_vit_names(weights | rest, sam), strict=True, assign=True)
    return sam.eval(), weights


@pytest.mark.parametrize("stem", STEMS)
def test_the_encoder_equals_its_slow_recomputation(stem: int) -> None:
    """Windows of 3 and 4 fill a grid of 16 and 8 or do not, and one is as large as its grid."""
    sam, weights = loaded(stem)
    image = torch.randn(1, 3, sam.image_size, sam.image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = sam.encode(image)[0]
    in_double = {name: value.double().numpy() for name, value in weights.items()}
    heads, windows = SMALL_TINY_VIT["heads"], SMALL_TINY_VIT["windows"]
    expected = encode(image[0].double().numpy(), in_double, heads, windows)
    assert expected.std() > 0.3
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-4)


def test_biases_follow_the_weights() -> None:
    """What was computed before the weights changed, or was copied, is not remembered."""
    sam, _ = loaded(4)
    image = torch.randn(1, 3, sam.image_size, sam.image_size)
    with torch.no_grad():
        before = sam.encode(image)
        for name, parameter in sam.named_parameters():
            if name.endswith("attention_biases"):
                parameter.data.normal_(std=3)
        after = sam.encode(image)
        torch.testing.assert_close(copy.deepcopy(sam).encode(image), after, rtol=0, atol=0)
    assert (after - before).abs().max() > 0.01


def test_names_of_ones_own_stay() -> None:
    sam, _ = loaded(4)
    state = sam.state_dict()
    assert tiny_vit_names(state, sam).keys() == state.keys()
    with_classifier = state | {"image_encoder.head.bias": torch.zeros(5), "other": torch.zeros(1)}
    assert tiny_vit_names(with_classifier, sam).keys() == {*state, "other"}


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_the_encoder_alone_computes_in_a_low_precision(precision: str) -> None:
    sam, _ = loaded(4)
    image = torch.randn(1, 3, sam.image_size, sam.image_size, generator=torch.Generator().manual_seed(1))
    with (
        torch.no_grad(),
        encoders_in(sam, precision),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"),
    ):
        low = sam.encode(image).float()
    with torch.no_grad():
        high = sam.encode(image)
    assert 1e-4 < (low - high).std() / high.std() < 0.1
