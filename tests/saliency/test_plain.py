"""Grad-CAM, gScoreCAM, the rollouts and patch-text cosines against the slow way of doing them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.saliency.attention_rollout import AttentionRollout
from medsam_exp.saliency.dense_gradient import DenseGradient
from medsam_exp.saliency.gradcam import GradCAM
from medsam_exp.saliency.gradient_rollout import GradientRollout
from medsam_exp.saliency.gscorecam import GScoreCAM, unit_masks
from medsam_exp.saliency.legrad import LeGrad
from medsam_exp.saliency.legrad_patch_text import LeGradPatchText
from medsam_exp.saliency.patch_text import PatchText
from medsam_exp.types import UserError
from tests.saliency.plain import (
    features_and_gradient,
    plain_gradcam,
    plain_gradient_rollout,
    plain_gscorecam,
    plain_legrad,
    plain_legrad_patch_text,
    plain_patch_text,
    plain_rollout,
)

Make = Callable[[str], ClipModel]
SPLIT = [("open_clip", 1), ("open_clip", 2), ("timm", 3), ("average", 3), ("maximum", 5), ("resnet", 2)]


def batch(clip: ClipModel, count: int) -> tuple[Tensor, Tensor, list[torch.Generator]]:
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(count, 3, *clip.preprocess.size, generator=generator, dtype=torch.float64)
    texts = torch.randn(count, clip.embed_dim, generator=generator, dtype=torch.float64)
    return images, texts, [torch.Generator()] * count


def same(found: Tensor, expected: Tensor) -> None:
    assert float(expected.max()) > 0
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-5, atol=1e-6 * float(expected.max()))


@pytest.mark.parametrize(("kind", "layer"), SPLIT)
def test_gradcam(make_tiny: Make, kind: str, layer: int) -> None:
    clip = make_tiny(kind).double()
    images, texts, generators = batch(clip, 3)
    expected = torch.stack([plain_gradcam(clip, *row, layer) for row in zip(images, texts, strict=True)])
    same(GradCAM(layer)(clip, images, texts, generators), expected)


@pytest.mark.parametrize(("kind", "layer"), SPLIT)
def test_gscorecam(make_tiny: Make, kind: str, layer: int) -> None:
    clip = make_tiny(kind).double()
    clip.logit_scale.data.fill_(torch.tensor(100.0).log())
    images, texts, generators = batch(clip, 2)
    expected = [plain_gscorecam(clip, *row, layer, 5) for row in zip(images, texts, strict=True)]
    same(GScoreCAM(5, layer=layer)(clip, images, texts, generators), torch.stack(expected))


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum"])
def test_attention_rollout(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind).double()
    images, texts, generators = batch(clip, 2)
    same(
        AttentionRollout()(clip, images, texts, generators),
        torch.stack([plain_rollout(clip, i) for i in images]),
    )


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum"])
def test_gradient_rollout(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind).double()
    images, texts, generators = batch(clip, 2)
    expected = [plain_gradient_rollout(clip, *row) for row in zip(images, texts, strict=True)]
    same(GradientRollout()(clip, images, texts, generators), torch.stack(expected))


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum", "attention_pool"])
def test_legrad(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind).double()
    images, texts, generators = batch(clip, 2)
    expected = [plain_legrad(clip, *row, 2) for row in zip(images, texts, strict=True)]
    same(LeGrad(2)(clip, images, texts, generators), torch.stack(expected))


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum", "attention_pool"])
def test_patch_text(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind).double()
    images, texts, generators = batch(clip, 2)
    expected = [plain_patch_text(clip, *row) for row in zip(images, texts, strict=True)]
    same(PatchText()(clip, images, texts, generators), torch.stack(expected))


@pytest.mark.parametrize("last", [1, 2, 100])
@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum"])
def test_legrad_times_patch_text(make_tiny: Make, kind: str, last: int) -> None:
    clip = make_tiny(kind).double()
    images, texts, generators = batch(clip, 2)
    rows = zip(images, texts, strict=True)
    expected = [plain_legrad_patch_text(clip, *row, min(last, clip.depth)) for row in rows]
    same(LeGradPatchText(last)(clip, images, texts, generators), torch.stack(expected))


@pytest.mark.parametrize("kind", ["open_clip", "timm", "average", "maximum", "attention_pool"])
def test_dense_gradient(make_tiny: Make, kind: str) -> None:
    clip = make_tiny(kind).double()
    images, texts, generators = batch(clip, 1)
    _, gradient = features_and_gradient(clip, images[0], texts[0], clip.depth - 2)
    length = sum(channel**2 for channel in gradient) ** 0.5
    dense = plain_patch_text(clip, images[0], texts[0])
    length, dense = ((x - x.min()) / (x.max() - x.min()) for x in (length, dense))
    same(DenseGradient()(clip, images, texts, generators), (length * dense)[None])


def test_legrad_of_no_block_is_refused() -> None:
    with pytest.raises(UserError, match=r"saliency\.blocks must be at least 1, but is 0"):
        LeGradPatchText(0)


def test_no_layer_means_the_last_that_decides(make_tiny: Make) -> None:
    for kind, last in (("open_clip", 2), ("average", 3), ("resnet", 3)):
        clip = make_tiny(kind)
        images, texts, generators = batch(clip.double(), 1)
        assert torch.equal(
            GradCAM()(clip, images, texts, generators), GradCAM(last)(clip, images, texts, generators)
        )
    with pytest.raises(UserError, match="largest useful layer is 2"):
        GradCAM(3)(make_tiny("open_clip"), *batch(clip, 1))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_chunks_change_nothing_and_bound_what_runs_at_once(
    make_tiny: Make, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_tiny("open_clip")
    images, texts, generators = batch(clip.double(), 2)
    whole = GScoreCAM(20, chunk_size=20)(clip, images, texts, generators)
    seen: list[int] = []
    original = clip.vision_prefix
    monkeypatch.setattr(
        clip, "vision_prefix", lambda some, layer: seen.append(len(some)) or original(some, layer)
    )
    torch.testing.assert_close(GScoreCAM(20, chunk_size=size)(clip, images, texts, generators), whole)
    assert max(seen[1:]) == min(size, 20)  # the first call looks at the images themselves
    assert sum(seen[1:]) == 2 * 20


def test_more_channels_than_there_are_means_all(make_tiny: Make) -> None:
    clip = make_tiny("open_clip")
    images, texts, generators = batch(clip.double(), 1)
    assert torch.equal(
        GScoreCAM(300)(clip, images, texts, generators), GScoreCAM(32)(clip, images, texts, generators)
    )


def test_masks_span_zero_to_one_and_a_flat_map_lets_nothing_through() -> None:
    maps = torch.stack([torch.arange(6.0).reshape(2, 3), torch.full((2, 3), 4.1)])
    masks = unit_masks(maps, (20, 30))
    assert masks.shape == (2, 20, 30)
    assert (masks[0].min(), masks[0].max()) == (0, 1)
    assert masks[0, 0, 0] == 0
    assert not masks[1].any()


def test_bad_numbers() -> None:
    for bad in ({"channels": 0}, {"channels": 3, "chunk_size": 0}):
        with pytest.raises(UserError, match="channels >= 1 and chunk_size >= 1"):
            GScoreCAM(**bad)


def test_gradient_rollout_hardly_hears_the_text() -> None:
    """As its docstring says: under a contradictory text the map moves, but little."""
    clip, data = load_clip("tiny"), PhantomDataset(2, 6, sentences="phantom")
    images = torch.stack([clip.preprocess(data.read_image(sample.id)) for sample in data.samples])
    own, contradiction = (
        clip.encode_text(clip.tokenize([getattr(sample, kind) for sample in data.samples])).detach()
        for kind in ("description", "contradiction")
    )
    maps = [GradientRollout()(clip, images, text, []).detach().flatten(1) for text in (own, contradiction)]
    likeness = [float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in zip(*maps, strict=True)]
    assert 0.85 < sorted(likeness)[3] < 0.99
