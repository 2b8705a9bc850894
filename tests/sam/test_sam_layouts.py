"""Published checkpoints fit, by name and shape; the tables come from their publishers' code, not from ours."""

import functools
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medsam_exp.sam import load
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from medsam_exp.types import UserError
from tests.sam.layouts import published_layout
from tests.sam.layouts.stored import ENCODERS, SAM2, SAM_HQ, TINY_VIT, stored


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
    assert {*ENCODERS, *SAM2, *SAM_HQ, *TINY_VIT, "edgetam", "tiny", "sam3_tracker"} == set(FAMILIES)


@pytest.mark.parametrize(("name", "tensors", "bytes_stored"), [("mobile_sam", 439, 40_728_226)])
def test_a_table_adds_up_to_the_published_file(name: str, tensors: int, bytes_stored: int) -> None:
    """Float32, and the archive's own bytes for each tensor."""
    shapes = TINY_VIT[name]()
    assert len(shapes) == tensors
    assert 0 < bytes_stored - 4 * sum(map(math.prod, shapes.values())) < 1000 * tensors


State = dict[str, torch.Tensor]


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, State], str]:
    """`(chosen, state) -> what is said`; nothing when it fits."""
    (tmp_path / "unnamed.pth").touch()
    monkeypatch.setattr(load, "_empty", functools.cache(load._empty))

    def said(chosen: str, state: State) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(load, "read_state_dict", lambda _: dict(state))
            patch.setattr(load, "refuse_broken_weights", lambda *_: None)  # shapes only
            try:
                load_sam(chosen, str(tmp_path / "unnamed.pth"))
            except UserError as error:
                return str(error)
        return ""

    return said


def test_whoever_follows_the_advice_gets_a_network_that_loads(refusal) -> None:
    twins = itertools.product(FAMILIES, ("vit_b", "sam2_tiny"))  # others have their shapes too
    alone = ((held, "vit_b" if held == "tiny" else "tiny") for held in FAMILIES)
    for held, chosen in (*((a, b) for a, b in twins if same(a, b)), *alone):
        said = refusal(chosen, stored(held))
        if said:
            advised = re.findall(r"(?:choose|or) sam=(\w+)", said.split("\n")[0])
            assert held in advised, said
            assert [refusal(name, stored(held)) for name in advised] == [""] * len(advised)
        else:
            assert same(held, chosen)


def same(held: str, chosen: str) -> bool:
    tables = {**ENCODERS, **SAM2}
    return tables.get(held, held) == tables.get(chosen, chosen)


def resized(state: State) -> State:
    return state | {"image_encoder.pos_embed": torch.empty(1, 32, 32, 768, device="meta")}


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (resized, r"it was trained on a grid of 32 x 32 patches, and \w+ has 64 x 64; take weights"),
        (lambda s: s | {"surplus": torch.empty(1)}, r"all that \w+ needs is there, and more; where"),
        (
            lambda s: dict(list(s.items())[3:]),
            "point sam.checkpoint at a whole checkpoint of this architecture",
        ),
    ],
)
@pytest.mark.parametrize("chosen", ["vit_b", "medsam"])
def test_nothing_else_is_advised_where_nothing_fits(refusal, chosen: str, change, advice: str) -> None:
    assert re.search(rf"does not fit {chosen} \(.*\); {advice}", refusal(chosen, change(stored(chosen))))


def test_a_clip_is_sent_to_clip(refusal) -> None:
    for name in ("visual.proj", "vision_model.post_layernorm.bias", "text.transformer.pooler.dense.bias"):
        assert "this looks like a CLIP, so give it as clip.weights" in refusal("tiny", {name: torch.zeros(1)})
