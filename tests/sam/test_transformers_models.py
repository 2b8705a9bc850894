"""Networks of transformers, asked through `PromptableModel`, answer as by their own `forward`."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import Sam2ImageProcessor, Sam3ImageProcessor

from medsam_exp.sam.framing import MedSam2Framing, Sam2Framing, Sam3Framing
from medsam_exp.training.precision import encoders_in
from medsam_exp.types import RGBImage
from tests.sam.small_networks import small_model

ARCHITECTURES = ["sam2_tiny", "sam_hq_b", "edgetam", "sam3_tracker"]
"""One of each kind of network."""
PROMPTS: dict[str, tuple[str, ...]] = {
    "boxes": ("input_boxes",),
    "points": ("input_points", "input_labels"),
    "both": ("input_boxes", "input_points", "input_labels"),
}


def random_image(height: int, width: int) -> RGBImage:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def random_prompts(kind: str, side: int) -> dict[str, Tensor]:
    """Three prompts in the library's shapes, without the axis of images."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(3, 2, 2, generator=generator).sort(dim=1).values * side
    every: dict[str, Tensor] = {
        "input_boxes": corners.flatten(1),
        "input_points": torch.rand(3, 4, 2, generator=generator) * side,
        "input_labels": torch.tensor([[1, 0, 1, -1]] * 3),
    }
    return {name: every[name] for name in PROMPTS[kind]}


def untouched(network: Any) -> Any:
    """The library's own network with the same weights."""
    reference = type(network)(network.config).eval()
    reference.load_state_dict(network.state_dict())
    return reference


def answered(
    model: Any, embeddings: Tensor, prompts: dict[str, Tensor], multimask: bool
) -> tuple[Tensor, Tensor]:
    given = (prompts.get(name) for name in ("input_boxes", "input_points", "input_labels"))
    answer: tuple[Tensor, Tensor] = model.decode_low_res(embeddings, *given, multimask=multimask)
    return answer


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_masks_and_predicted_ious_equal_the_librarys_own_forward(
    architecture: str, kind: str, multimask: bool
) -> None:
    model = small_model(architecture)
    image = model.preprocess(random_image(60, 90))[None]
    prompts = random_prompts(kind, model.image_size)
    with torch.no_grad():
        said = untouched(model.network)(
            pixel_values=image,
            multimask_output=multimask,
            **{name: part[None] for name, part in prompts.items()},
        )
        embedding = model.encode(image)
        assert embedding.shape[1:] == model.embedding_shape
        logits, iou = answered(model, embedding, prompts, multimask)
        torch.testing.assert_close(logits, said.pred_masks[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(iou, said.iou_scores[0], rtol=1e-5, atol=1e-5)
        assert logits.std() > 0.01
        assert logits.shape[1] == (3 if multimask else 1)
        # One prompt of each of three images, of which the first is asked here.
        others = torch.randn(3, *model.embedding_shape, generator=torch.Generator().manual_seed(2))
        others[0] = embedding[0]
        each, each_iou = answered(model, others, prompts, multimask)
        torch.testing.assert_close(each[0], logits[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(each_iou[0], iou[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_encoder_alone_computes_in_a_low_precision(architecture: str, precision: str) -> None:
    model = small_model(architecture)
    image, prompts = model.preprocess(random_image(60, 90))[None], random_prompts("both", model.image_size)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with (
        torch.no_grad(),
        encoders_in(model, precision),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"),
    ):
        low = model.encode(image).float()
        found = answered(model, low, prompts, multimask=True)
    with torch.no_grad():
        high = model.encode(image)
        expected = answered(model, low, prompts, multimask=True)
    assert 1e-5 < (low - high).std() / high.std() < 0.1
    assert all(map(torch.equal, found, expected))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("size", [(60, 90), (300, 170), (1, 40)])
@pytest.mark.parametrize(
    ("framing", "processor"), [(Sam2Framing, Sam2ImageProcessor), (Sam3Framing, Sam3ImageProcessor)]
)
def test_the_framing_is_the_librarys_on_real_values(
    framing: Any, processor: Any, size: tuple[int, int]
) -> None:
    image, ours, theirs = random_image(*size), framing(128), processor(size={"height": 128, "width": 128})
    real = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    options = {"input_data_format": "channels_first", "return_tensors": "pt"}
    expected = theirs(real, do_rescale=False, **options)["pixel_values"][0]
    torch.testing.assert_close(ours.preprocess(image), expected, rtol=0, atol=1e-6)
    rounded = theirs(image, **options | {"input_data_format": "channels_last"})["pixel_values"][0]
    gray_value = 1 / 255 / 0.224
    assert (ours.preprocess(image) - rounded).abs().max() < 1.01 * gray_value  # rounded twice


def test_medsam2s_framing_is_pillows_resize() -> None:
    image = random_image(60, 90)
    squashed = np.asarray(Image.fromarray(image).resize((128, 128)))  # bicubic, as published
    expected = (squashed / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = MedSam2Framing(128).preprocess(image)
    np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), expected, rtol=0, atol=1e-6)
