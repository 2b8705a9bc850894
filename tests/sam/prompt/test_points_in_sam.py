"""What SAM makes of points: "no point" is none, a point is the pixel it names."""

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from medsam_exp.types import Prompts

SIZE = (200, 300)


@pytest.fixture(scope="module")
def sam() -> SamModel:
    return load_sam("tiny")


@pytest.fixture(scope="module")
def embedding() -> torch.Tensor:
    return torch.randn(128, 16, 16, generator=torch.Generator().manual_seed(0))


def decoded(sam: SamModel, embedding: torch.Tensor, prompts: Prompts) -> torch.Tensor:
    """Logits (N, H, W) of N prompts."""
    return torch.cat([logits for logits, _ in sam.decode(embedding, prompts, SIZE)])


def padded(with_box: bool, *, place_of_none: float = 0) -> Prompts:
    coords = np.array(
        [[[30, 40], [90, 20], [place_of_none] * 2], [[200, 100], [0, 0], [250, 150]]], np.float32
    )
    labels = np.array([[1, 0, -1], [1, 1, 0]])
    boxes = np.array([[10, 10, 120, 90], [150, 80, 260, 160]], np.float32)
    return Prompts(boxes if with_box else None, coords, labels)


@pytest.mark.parametrize("with_box", [False, True])
def test_no_point_has_no_place(sam: SamModel, embedding: torch.Tensor, with_box: bool) -> None:
    here = decoded(sam, embedding, padded(with_box))
    assert torch.equal(here, decoded(sam, embedding, padded(with_box, place_of_none=123)))


@pytest.mark.parametrize("with_box", [False, True])
def test_padding_equals_metas_predictor(sam: SamModel, embedding: torch.Tensor, with_box: bool) -> None:
    reference = Sam(sam.image_encoder, sam.prompt_encoder, sam.mask_decoder)
    predictor = SamPredictor(reference)
    predictor.features, predictor.original_size, predictor.is_image_set = embedding[None], SIZE, True
    predictor.input_size = predictor.transform.get_preprocess_shape(*SIZE, sam.image_size)
    prompts = padded(with_box)
    coords, boxes = (
        None if given is None else torch.as_tensor(apply(given, SIZE), dtype=torch.float)
        for given, apply in (
            (prompts.point_coords, predictor.transform.apply_coords),
            (prompts.boxes_xyxy, predictor.transform.apply_boxes),
        )
    )
    expected, *_ = predictor.predict_torch(
        coords, torch.as_tensor(prompts.point_labels), boxes, multimask_output=False, return_logits=True
    )
    assert torch.equal(decoded(sam, embedding, prompts), expected[:, 0])


def test_a_prompt_does_not_depend_on_the_others(sam: SamModel, embedding: torch.Tensor) -> None:
    both, first = padded(True), padded(True)
    alone = Prompts(first.boxes_xyxy[:1], first.point_coords[:1], first.point_labels[:1])
    together, single = decoded(sam, embedding, both), decoded(sam, embedding, alone)
    torch.testing.assert_close(together[:1], single, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (300, 200)])
def test_a_point_arrives_inside_its_pixel(
    sam: SamModel, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SAM adds half a pixel of its input frame; the continuous place must still belong to the named pixel."""
    seen = []
    layer = sam.prompt_encoder.pe_layer
    genuine = layer.forward_with_coords
    monkeypatch.setattr(
        layer, "forward_with_coords", lambda coords, frame: seen.append(coords) or genuine(coords, frame)
    )
    column, row = 37, 51
    point = Prompts(point_coords=np.array([[[column, row]]], np.float32), point_labels=np.array([[1]]))
    list(sam.decode(torch.zeros(128, 16, 16), point, size))
    place = seen[0][0, 0] * max(size) / sam.image_size
    assert place.floor().tolist() == [column, row]
    assert (place - torch.tensor([column + 0.5, row + 0.5])).abs().max() <= 0.5
