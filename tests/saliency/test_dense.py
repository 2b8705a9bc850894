"""Methods that replace the last blocks' attention, against loops over heads and tokens."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.clip_surgery import CLIPSurgery
from medsam_exp.saliency.gem import GEM
from medsam_exp.saliency.grad_eclip import GradECLIP
from medsam_exp.saliency.method import SaliencyMethod
from medsam_exp.saliency.naclip import NACLIP
from medsam_exp.saliency.sclip import SCLIP
from medsam_exp.types import UserError
from tests.saliency import plain_dense as plain

Make = Callable[[str], ClipModel]


METHODS: dict[str, tuple[SaliencyMethod, Callable[[ClipModel, Tensor, Tensor], Tensor]]] = {
    "sclip": (SCLIP(), plain.plain_sclip),
    "naclip": (NACLIP(std=1.5), lambda *row: plain.plain_naclip(*row, 1.5)),
    "gem": (GEM(blocks=2), lambda *row: plain.plain_gem(*row, 2, 1)),
    "gem, every block": (
        GEM(blocks=9, iterations=0),
        lambda clip, *row: plain.plain_gem(clip, *row, clip.depth, 0),
    ),
    "clip_surgery": (
        CLIPSurgery(blocks=2, redundant=["", "mass"]),
        lambda *row: plain.plain_clip_surgery(*row, 2, ["", "mass"]),
    ),
    "grad_eclip": (GradECLIP(), plain.plain_grad_eclip),
}


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum", "attention_pool"])
@pytest.mark.parametrize("name", METHODS)
def test_against_loops(make_tiny: Make, name: str, kind: str) -> None:
    clip = make_tiny(kind).double()
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(1, 3, *clip.preprocess.size, generator=generator, dtype=torch.float64)
    texts = torch.randn(1, clip.embed_dim, generator=generator, dtype=torch.float64)
    method, reference = METHODS[name]
    found = method(clip, images, texts, [])
    expected = torch.stack([reference(clip, *row) for row in zip(images, texts, strict=True)]).detach()
    print(name, kind, float((found - expected).abs().max() / expected.abs().max()))
    assert float(expected.std()) > 0
    torch.testing.assert_close(found, expected.to(found), rtol=1e-5, atol=2e-6 * float(expected.abs().max()))


def test_numbers_that_make_no_sense_are_refused() -> None:
    for wrong in (lambda: NACLIP(0), lambda: GEM(0), lambda: GEM(iterations=-1), lambda: CLIPSurgery(0)):
        with pytest.raises(UserError, match=r"^saliency\..* must be "):
            wrong()
