"""Methods that show the network parts of an image, against one masked forward pass at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.rise import RISE
from medsam_exp.saliency.winclip import WinCLIP
from medsam_exp.types import UserError
from tests.saliency.plain import cosine, layers_of

Make = Callable[[str], ClipModel]


def inputs(clip: ClipModel) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    image = torch.randn(3, *clip.preprocess.size, generator=generator, dtype=torch.float64)
    return image, torch.randn(clip.embed_dim, generator=generator, dtype=torch.float64)


@torch.no_grad()
def plain_rise(clip: ClipModel, image: Tensor, text: Tensor, seed: int, masks: int, cells: int) -> Tensor:
    generator, (height, width) = torch.Generator().manual_seed(seed), image.shape[1:]
    kept = (torch.rand(masks, cells, cells, generator=generator) < 0.4).double()
    cell = [(side + cells - 1) // cells for side in (height, width)]
    tops, lefts = (torch.randint(side, (masks,), generator=generator) for side in cell)
    larger = torch.nn.Upsample(size=tuple((cells + 1) * side for side in cell), mode="bilinear")
    seen = torch.zeros(height, width, dtype=torch.float64)
    for grid, top, left in zip(kept, tops, lefts, strict=True):
        mask = larger(grid[None, None])[0, 0, top : top + height, left : left + width]
        seen += mask * cosine(clip.encode_image((image * mask)[None])[0], text)
    rows, columns = height // clip.grid[0], width // clip.grid[1]
    patches = [
        seen[y : y + rows, x : x + columns].mean()
        for y in range(0, height, rows)
        for x in range(0, width, columns)
    ]
    return torch.stack(patches).reshape(clip.grid) / masks / 0.4


@pytest.mark.parametrize("kind", ["open_clip", "maximum", "attention_pool", "resnet"])
def test_rise(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind).double()
    image, text = inputs(clip)
    for chunk in (3, 16):
        method = RISE(masks=10, cells=3, share=0.4, chunk_size=chunk)
        (found,) = method(clip, image[None], text[None], [torch.Generator().manual_seed(5)])
        expected = plain_rise(clip, image, text, 5, 10, 3)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def plain_winclip(clip: ClipModel, image: Tensor, text: Tensor, sides: tuple[int, ...]) -> Tensor:
    (height, width), first = clip.grid, clip.prefix_tokens

    def score(kept: list[int]) -> float:
        handle = layers_of(clip)[0].register_forward_pre_hook(
            lambda _, given: (given[0][:, kept], *given[1:])
        )
        try:
            return float(1 + cosine(clip.encode_image(image[None])[0], text)) / 2
        finally:
            handle.remove()

    whole, before = score(list(range(first + height * width))), list(range(first))
    inverse = torch.full((height, width), 1 / whole, dtype=torch.float64)
    for side in sides:
        held: dict[tuple[int, int], list[float]] = {}
        for top in range(height - side + 1):
            for left in range(width - side + 1):
                window = [(y, x) for y in range(top, top + side) for x in range(left, left + side)]
                found = score(before + [first + y * width + x for y, x in window])
                for place in window:
                    held.setdefault(place, []).append(1 / found)
        for place, inverses in held.items():
            inverse[place] += sum(inverses) / len(inverses)
    return (1 + len(sides)) / inverse


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum", "attention_pool"])
def test_winclip(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind).double()
    image, text = inputs(clip)
    sides = (1, 3) if clip.grid == (4, 4) else (clip.grid[0] - 1,)
    (found,) = WinCLIP(sides)(clip, image[None], text[None], [])
    torch.testing.assert_close(found.double(), plain_winclip(clip, image, text, sides), rtol=1e-5, atol=1e-6)


def test_numbers_that_make_no_sense_are_refused(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    image, text = inputs(clip)
    for wrong in (
        lambda: RISE(masks=0),
        lambda: RISE(share=1),
        lambda: WinCLIP(()),
        lambda: WinCLIP((2, 0)),
        lambda: WinCLIP((5,))(clip, image[None], text[None], []),
    ):
        with pytest.raises(UserError, match=r"^saliency\."):
            wrong()
