import copy

import numpy as np
import pytest
import torch
from segment_anything.modeling.image_encoder import Block

from medsam_exp.masks.nearest import nearest
from medsam_exp.sam.attention import FusedAttention
from medsam_exp.sam.framing import SamMed2dFraming
from medsam_exp.sam.fusion.best_iou import BestIou
from medsam_exp.sam.model import SamModel
from medsam_exp.sam.sam_med2d import AdaptedBlock, Adapter, build_sam_med2d
from medsam_exp.training.sam_inference import answer_prompts
from medsam_exp.types import Prompts
from tests.sam.conftest import randomise_positions
from tests.sam.references import adapter, bilinear, nearest_of_opencv

MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def small(seed: int = 0) -> SamModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = randomise_positions(
            build_sam_med2d(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
        )
    return SamModel(sam, SamMed2dFraming(256)).eval()


def as_arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("grid", [2, 4, 16])
def test_the_adapter_equals_its_slow_recomputation(grid: int) -> None:
    torch.manual_seed(grid)
    module, x = Adapter(8), torch.randn(3, grid, grid, 8)
    torch.nn.init.normal_(module.norm.weight)
    torch.nn.init.normal_(module.norm.bias)
    with torch.no_grad():
        ours = module(x)
    for number in range(3):
        expected = adapter(x[number].double().numpy(), as_arrays(module))
        np.testing.assert_allclose(ours[number].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("window", [0, 3])
def test_the_adapter_works_beside_the_mlp_on_the_same_normalised_tokens(window: int) -> None:
    """A grid of 4 that windows of 3 must pad."""
    torch.manual_seed(window)
    block = Block(8, 2, use_rel_pos=True, window_size=window, input_size=(4, 4))
    torch.nn.init.normal_(block.attn.rel_pos_h)
    torch.nn.init.normal_(block.norm2.weight)
    original = copy.deepcopy(block)
    ours, x = AdaptedBlock(block, 8), torch.randn(2, 4, 4, 8)
    with torch.no_grad():
        attended = copy.deepcopy(original)
        attended.mlp = torch.nn.Identity()
        attended.norm2 = torch.nn.Module()
        attended.norm2.forward = torch.zeros_like
        after_attention = attended(x)
        normalised = original.norm2(after_attention)
        beside = np.stack(
            [adapter(tokens.double().numpy(), as_arrays(ours.Adapter)) for tokens in normalised]
        )
        expected = after_attention + original.mlp(normalised) + torch.from_numpy(beside).float()
        torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5)


def test_fused_attention_changes_nothing() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = randomise_positions(
            build_sam_med2d(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
        ).eval()
    images = torch.randn(2, 3, 256, 256)
    with torch.no_grad():
        expected = sam.image_encoder(images)
        ours = SamModel(sam, SamMed2dFraming(256)).eval()
        assert all(isinstance(block.attn, FusedAttention) for block in ours.image_encoder.blocks)
        torch.testing.assert_close(ours.encode(images), expected, rtol=0, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize("size", [(200, 300), (49, 257), (256, 256), (1, 90), (700, 2)])
def test_preprocess_takes_the_nearest_pixel_and_sams_mean(size: tuple[int, int]) -> None:
    image = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), np.uint8)
    ours = SamMed2dFraming(256).preprocess(image)
    assert ours.shape == (3, 256, 256)
    assert ours.dtype == torch.float32
    rows, columns = (nearest_of_opencv(side, 256) for side in size)
    for y in range(0, 256, 5):
        for x in range(0, 256, 5):
            expected = (image[rows[y], columns[x]] - MEAN) / STD
            np.testing.assert_allclose(ours[:, y, x].numpy(), expected, atol=1e-5)


def test_every_size_samples_in_order_and_within_the_image() -> None:
    for side in [*range(1, 600), 1023, 4000]:
        chosen = nearest(np.arange(side)[:, None], (256, 1))[:, 0]
        assert chosen[0] == 0
        assert chosen[-1] <= side - 1
        assert (np.diff(chosen) >= 0).all()
        assert chosen.tolist() == nearest_of_opencv(side, 256)


def test_coordinates_are_scaled_to_each_side() -> None:
    corners = np.array([[[0, 0], [300, 200]]], np.float32)
    assert SamMed2dFraming(256).to_input(corners, (200, 300)).tolist() == [[[0, 0], [256, 256]]]


@pytest.mark.parametrize("size", [(40, 31), (1, 20), (64, 64)])
def test_logits_are_enlarged_to_the_square_and_then_to_the_image(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    low_res = torch.randn(1, 2, 16, 16)
    ours = SamMed2dFraming(64).to_original(low_res, size)
    for m in range(2):
        expected = bilinear(bilinear(low_res[0, m].double().numpy(), (64, 64)), size)
        np.testing.assert_allclose(ours[0, m].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["box", "points"])
def test_best_iou_equals_the_published_predictor(kind: str) -> None:
    sam, size = small(), (90, 140)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    box = np.array([[20, 10, 100, 70]], np.float32)
    coords, labels = np.array([[[30.0, 20.0], [80.0, 60.0]]], np.float32), np.array([[1, 0]])
    prompts = Prompts(box) if kind == "box" else Prompts(None, coords, labels)
    with torch.no_grad():
        embedding = sam.encode(sam.preprocess(image)[None])
        answer = answer_prompts(sam, BestIou(), embedding[0], prompts, size)
        scale = torch.tensor([256 / 140, 256 / 90])
        points = (torch.as_tensor(coords) * scale, torch.as_tensor(labels)) if kind == "points" else None
        boxes = torch.as_tensor(box) * scale.repeat(2) if kind == "box" else None
        sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=None)
        low_res, iou = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        best = low_res[:, iou[0].argmax()][:, None]
        logits = torch.nn.functional.interpolate(best, (256, 256), mode="bilinear", align_corners=False)
        logits = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0]
    assert answer.iou_predictions == [pytest.approx(float(iou.max()), abs=1e-5)]
    clear = logits.abs() > 1e-4
    assert np.array_equal(answer.mask[clear.numpy()], (logits.sigmoid() > 0.5)[clear].numpy())
    assert 0 < answer.mask.mean() < 1
