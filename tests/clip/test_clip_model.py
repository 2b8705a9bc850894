import copy
import pickle
from collections.abc import Callable

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.preprocess import Preprocess


def test_preprocess_squashes_without_a_crop(make_clip: Callable[..., ClipModel]) -> None:
    clip = make_clip("open_clip")
    image = np.random.default_rng(0).integers(0, 256, (50, 91, 3), dtype=np.uint8)
    tensor = clip.preprocess(image)
    assert tensor.shape == (3, 32, 32)
    assert tensor.dtype == torch.float32
    reference = tv.resize(
        torch.from_numpy(image).permute(2, 0, 1).double(),
        [32, 32],
        tv.InterpolationMode.BICUBIC,
        antialias=True,
    )
    reference = reference.clamp(0, 255) / 255
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    reference = (reference - mean[:, None, None]) / std[:, None, None]
    assert (tensor - reference).abs().max() < 2.5 / 255 / 0.2  # PIL rounds after each of its two passes


def test_preprocess_interpolates_as_the_network_was_trained() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 91, 3), dtype=np.uint8)
    found = Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3, "bilinear")(image)
    expected = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)) / np.float32(
        255
    )
    assert torch.equal(found, torch.from_numpy(expected).permute(2, 0, 1))
    assert not torch.equal(found, Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3)(image))


def test_preprocess_keeps_the_corners(make_clip: Callable[..., ClipModel]) -> None:
    image = np.zeros((40, 200, 3), np.uint8)
    image[:, :7] = image[:, -7:] = 255
    squashed = make_clip("open_clip").preprocess(image)
    assert (squashed[:, :, 0] > squashed[:, :, 16] + 1).all()
    assert (squashed[:, :, -1] > squashed[:, :, 16] + 1).all()


def test_preprocess_equals_open_clips_own_squash(make_clip: Callable[..., ClipModel]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (47, 33, 3), dtype=np.uint8)
    own = open_clip.image_transform(
        32, is_train=False, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), resize_mode="squash"
    )
    ours = make_clip("open_clip").preprocess(image)
    torch.testing.assert_close(ours, own(Image.fromarray(image)), rtol=0, atol=1e-6)


def test_preprocess_travels_to_workers_without_the_network(make_clip: Callable[..., ClipModel]) -> None:
    assert len(pickle.dumps(make_clip("open_clip").preprocess)) < 500


def test_encodes_as_open_clip_does(make_clip: Callable[..., ClipModel]) -> None:
    clip = make_clip("open_clip")
    tokens = clip.tokenize(["a lesion", "no lesion"])
    assert tokens.shape == (2, 16)
    assert tokens.dtype == torch.int64
    with torch.no_grad():
        text, image = clip.encode_text(tokens), clip.encode_image(torch.ones(2, 3, 32, 32))
        torch.testing.assert_close(text, clip.network.encode_text(tokens))
    assert text.shape == image.shape == (2, clip.embed_dim)
    assert not torch.allclose(text.norm(dim=-1), torch.ones(2), atol=1e-2)  # un-normalised


def test_a_copy_is_independent(make_clip: Callable[..., ClipModel]) -> None:
    clip = make_clip("open_clip")
    twin = copy.deepcopy(clip)
    batch = torch.ones(1, 3, 32, 32)
    with torch.no_grad():
        before = clip.vision_prefix(batch, 1)
        for parameter in twin.parameters():
            parameter.add_(1)
        torch.testing.assert_close(clip.vision_prefix(batch, 1), before)
        assert not torch.allclose(twin.vision_prefix(batch, 1), before)


def test_parameters_are_those_of_the_network_once(make_clip: Callable[..., ClipModel]) -> None:
    clip = make_clip("timm_cls")
    assert {id(p) for p in clip.parameters()} == {id(p) for p in clip.network.parameters()}
    assert list(clip.state_dict()) == [f"network.{name}" for name in clip.network.state_dict()]
    assert any(p is clip.logit_scale for p in clip.parameters())


@pytest.mark.parametrize(
    ("kind", "tokens", "grid"), [("open_clip", 1, (4, 4)), ("timm_average_registers", 1, (6, 6))]
)
def test_geometry(make_clip: Callable[..., ClipModel], kind: str, tokens: int, grid: tuple[int, int]) -> None:
    clip = make_clip(kind)
    assert (clip.prefix_tokens, clip.grid) == (tokens, grid)
    assert clip.saliency_layer == 2
