"""Methods that change how another one is applied."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.affinity import Affinity
from medsam_exp.saliency.attention_rollout import AttentionRollout
from medsam_exp.saliency.intensity import Intensity
from medsam_exp.saliency.m2ib_released import CentreCrop, M2IBReleased
from medsam_exp.saliency.pad import Padded
from medsam_exp.saliency.patch_text import PatchText
from medsam_exp.types import UserError
from tests.saliency.plain import attention_by_hand

Make = Callable[[str], ClipModel]


def plain_affinity(clip: ClipModel, image: Tensor, inner: Tensor, last: int, threshold: float) -> Tensor:
    """(gh, gw), pair by pair of patches; regions by walking from cell to cell."""
    (height, width), first = clip.grid, clip.prefix_tokens
    count = height * width
    paid = np.zeros((count, count))
    for heads in attention_by_hand(clip, image)[-last:]:
        for head in heads:
            paid += head.numpy()[first:, first:]
    for _ in range(3):
        for column in range(count):
            paid[:, column] /= paid[:, column].sum()
        for row in range(count):
            paid[row] /= paid[row].sum()
    both = [[(paid[one, other] + paid[other, one]) / 2 for other in range(count)] for one in range(count)]
    scaled = ((inner - inner.min()) / (inner.max() - inner.min())).numpy()
    boxed, waiting = np.zeros((height, width), bool), {(y, x) for y, x in np.argwhere(scaled >= threshold)}
    while waiting:
        region, edge = set(), [waiting.pop()]
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            near = {(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & waiting
            waiting -= near
            edge += near
        rows, columns = zip(*region, strict=True)
        boxed[min(rows) : max(rows) + 1, min(columns) : max(columns) + 1] = True
    spread = (scaled * boxed).reshape(count)
    for _ in range(2):
        spread = np.array(
            [sum(both[one][other] * spread[other] for other in range(count)) for one in range(count)]
        )
    return torch.from_numpy(spread.reshape(height, width))


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum", "attention_pool"])
@pytest.mark.parametrize(("blocks", "threshold"), [(2, 0.4), (9, 0.7)])
def test_affinity(make_tiny: Make, kind: str, blocks: int, threshold: float) -> None:
    clip = make_tiny(kind).double()
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(2, 3, *clip.preprocess.size, generator=generator, dtype=torch.float64)
    texts = torch.randn(2, clip.embed_dim, generator=generator, dtype=torch.float64)
    maps = PatchText()(clip, images, texts, []).double()
    last = min(blocks, clip.depth)
    rows = zip(images, maps, strict=True)
    expected = torch.stack([plain_affinity(clip, *row, last, threshold) for row in rows])
    found = Affinity(inner=PatchText(), blocks=blocks, threshold=threshold)(clip, images, texts, [])
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_wrapper_is_what_its_inner_method_is(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    assert (Padded(inner=PatchText()).needs, Padded(inner=Intensity()).needs) == ("blocks", None)
    assert Affinity(inner=PatchText()).needs == "blocks"
    assert not Padded(inner=AttentionRollout()).uses_text
    released = M2IBReleased(layer=1, beta=1.0)
    assert isinstance(Affinity(inner=released).geometry(clip), CentreCrop)
    with pytest.raises(UserError, match="ResNet"):
        Padded(inner=PatchText())(make_tiny("resnet"), torch.zeros(1, 3, 128, 128), torch.ones(1, 24), [])


def test_affinity_wants_one_value_for_each_patch() -> None:
    for inner in (Intensity(), Padded(inner=Intensity())):
        with pytest.raises(UserError, match=r"^saliency\.inner is \w+, which gives no value for each patch"):
            Affinity(inner=inner)
    for wrong in ({"blocks": 0}, {"threshold": 1.5}):
        with pytest.raises(UserError, match=r"^saliency\."):
            Affinity(inner=PatchText(), **wrong)  # type: ignore[arg-type]
