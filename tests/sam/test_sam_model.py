import resource
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from medsam_exp.sam import promptable as module
from medsam_exp.types import Prompts, RGBImage, UserError

SIZES = [(200, 300), (301, 149), (256, 256), (64, 40), (3, 500), (600, 600)]


def random_image(height: int, width: int) -> RGBImage:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def random_prompts(count: int, size: tuple[int, int], kind: str) -> Prompts:
    generator = np.random.default_rng(count)
    height, width = size
    corners = np.sort(generator.uniform(0, 1, (count, 2, 2)), axis=1) * [width, height]
    boxes = corners.reshape(count, 4).astype(np.float32)
    coords = (generator.uniform(0, 1, (count, 5, 2)) * [width, height]).astype(np.float32)
    labels = generator.integers(0, 2, (count, 5))
    return Prompts(
        boxes_xyxy=boxes if kind != "points" else None,
        point_coords=coords if kind != "boxes" else None,
        point_labels=labels if kind != "boxes" else None,
    )


def stacked(decoded: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Mask logits (N, M, H, W) and predicted IoU (N, M) of prompts that come one by one."""
    masks, iou = zip(*decoded, strict=True)
    return torch.stack(masks), torch.stack(iou)


def expected_masks(
    predictor, image: RGBImage, prompts: Prompts, multimask: bool = False
) -> tuple[Tensor, Tensor]:
    size = image.shape[:2]
    boxes, coords, labels = prompts.boxes_xyxy, prompts.point_coords, prompts.point_labels
    if boxes is not None:
        boxes = torch.as_tensor(predictor.transform.apply_boxes(boxes, size), dtype=torch.float)
    if coords is not None:
        coords = torch.as_tensor(predictor.transform.apply_coords(coords, size), dtype=torch.float)
        labels = torch.as_tensor(labels, dtype=torch.int)
    return predictor.predict_torch(coords, labels, boxes, multimask_output=multimask, return_logits=True)[:2]


@pytest.mark.parametrize("size", SIZES)
def test_preprocess_is_metas_to_the_last_bit(pair, size: tuple[int, int]) -> None:
    seen = []
    handle = pair.reference.image_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pair.predictor.set_image(random_image(*size))
    handle.remove()
    ours = pair.ours.preprocess(random_image(*size))
    assert ours.dtype == torch.float32
    assert torch.equal(ours[None], seen[0])


def test_too_elongated_an_image_is_refused(pair) -> None:
    with pytest.raises(UserError, match=r"1 x 1000 .* crop it"):
        pair.ours.preprocess(random_image(1, 1000))


def test_encode_equals_metas_encoder(pair) -> None:
    images = torch.stack([pair.ours.preprocess(random_image(*size)) for size in SIZES[:3]])
    with torch.no_grad():
        ours = pair.ours.encode(images)
        torch.testing.assert_close(ours, pair.reference.image_encoder(images), rtol=0, atol=1e-4)
    grid = pair.reference.prompt_encoder.image_embedding_size
    assert ours.shape == (3, pair.reference.prompt_encoder.embed_dim, *grid)


@pytest.mark.parametrize("kind", ["boxes", "points", "both"])
@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize(("size", "count"), [((200, 300), 1), ((301, 149), 3), ((64, 40), 16)])
def test_decode_equals_metas_predictor(
    pair, kind: str, size: tuple[int, int], count: int, multimask: bool
) -> None:
    predictor, image = pair.predictor, random_image(*size)
    predictor.set_image(image)
    prompts = random_prompts(count, size, kind)
    masks, iou = stacked(pair.ours.decode(predictor.features[0], prompts, size, multimask))
    expected, expected_iou = expected_masks(predictor, image, prompts, multimask)
    assert masks.shape == (count, 3 if multimask else 1, *size)
    assert masks.dtype == iou.dtype == torch.float32
    assert expected.std() > 1e-3
    assert torch.equal(masks, expected)
    assert torch.equal(iou, expected_iou)


@pytest.mark.parametrize(
    ("size", "low"), [((90, 90), (64, 64)), ((200, 300), (43, 64)), ((300, 100), (64, 21))]
)
@pytest.mark.parametrize("multimask", [False, True])
def test_a_mask_prompt_is_metas(pair, size: tuple[int, int], low: tuple[int, int], multimask: bool) -> None:
    predictor, image = pair.predictor, random_image(*size)
    predictor.set_image(image)
    logits = 10 * torch.randn(low, generator=torch.Generator().manual_seed(3)).numpy()
    given = np.full((1, 64, 64), logits.min(), np.float32)
    given[0, : low[0], : low[1]] = logits
    box = np.array([5, 6, 60, 70], np.float32)
    expected, expected_iou, _ = predictor.predict(
        box=box, mask_input=given, multimask_output=multimask, return_logits=True
    )
    prompts = Prompts(box[None], mask_logits=logits[None])
    ((masks, iou),) = pair.ours.decode(predictor.features[0], prompts, size, multimask)
    np.testing.assert_allclose(masks.numpy(), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(iou.numpy(), expected_iou, rtol=0, atol=1e-6)
    ((without, _),) = pair.ours.decode(predictor.features[0], Prompts(box[None]), size, multimask)
    assert not torch.allclose(without, masks, atol=1e-3)


@pytest.mark.parametrize("kind", ["boxes", "points", "both"])
@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("size", [(200, 300), (301, 149)])
def test_a_mask_that_is_fed_back_is_metas_predictor_called_twice(
    pair, kind: str, size: tuple[int, int], multimask: bool
) -> None:
    predictor, image = pair.predictor, random_image(*size)
    predictor.set_image(image)
    prompts = random_prompts(3, size, kind)
    found = list(pair.ours.decode(predictor.features[0], replace(prompts, feeds_back=True), size, multimask))
    for place, (masks, iou) in enumerate(found):
        given = {
            name: None if part is None else part[place]
            for name, part in (
                ("box", prompts.boxes_xyxy),
                ("point_coords", prompts.point_coords),
                ("point_labels", prompts.point_labels),
            )
        }
        _, first_iou, low_res = predictor.predict(**given, multimask_output=multimask)
        best = low_res[int(first_iou.argmax())][None]
        expected, expected_iou, _ = predictor.predict(
            **given, mask_input=best, multimask_output=multimask, return_logits=True
        )
        np.testing.assert_allclose(masks.numpy(), expected, rtol=0, atol=1e-4)
        np.testing.assert_allclose(iou.numpy(), expected_iou, rtol=0, atol=1e-5)
    once = stacked(pair.ours.decode(predictor.features[0], prompts, size, multimask))[0]
    assert not torch.allclose(once, torch.stack([masks for masks, _ in found]), atol=1e-3)


@pytest.mark.parametrize("kind", ["boxes", "points", "both"])
def test_many_prompts_are_decoded_a_few_at_a_time(pair, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, image = pair.predictor, random_image(50, 70)
    predictor.set_image(image)
    prompts = random_prompts(module.PROMPTS_AT_ONCE * 2 + 3, (50, 70), kind)
    at_once = []
    genuine = pair.ours.decode_low_res
    monkeypatch.setattr(
        pair.ours,
        "decode_low_res",
        lambda *args: at_once.append(len(args[1] if args[1] is not None else args[2])) or genuine(*args),
    )
    masks, iou = stacked(pair.ours.decode(predictor.features[0], prompts, (50, 70)))
    expected, expected_iou = expected_masks(predictor, image, prompts)
    assert at_once == [module.PROMPTS_AT_ONCE, module.PROMPTS_AT_ONCE, 3]
    torch.testing.assert_close(masks, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(iou, expected_iou, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prompts", [Prompts(), Prompts(boxes_xyxy=np.zeros((0, 4), np.float32))])
def test_no_prompts_give_no_masks(pair, prompts: Prompts) -> None:
    assert list(pair.ours.decode(torch.randn(128, 16, 16), prompts, (20, 30))) == []


def test_one_prompt_at_a_time_is_held_in_the_original_frame(pair) -> None:
    """N x 3 x H x W for hundreds of prompts would be gigabytes; here 100 prompts would be 1.2 GB."""
    prompts = random_prompts(100, (1000, 1000), "boxes")
    decoded = pair.ours.decode(torch.randn(128, 16, 16), prompts, (1000, 1000), multimask=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(masks.shape == (3, 1000, 1000) for masks, _ in decoded) == 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB


@pytest.mark.parametrize("kind", ["boxes", "points", "both"])
def test_decoding_a_batch_equals_decoding_each_image(pair, kind: str) -> None:
    torch.manual_seed(0)
    reference = pair.reference
    dim, grid = reference.prompt_encoder.embed_dim, reference.prompt_encoder.image_embedding_size
    embeddings = torch.randn(4, dim, *grid)
    boxes = torch.tensor([[10.0, 20, 90, 80]]).repeat(4, 1) + torch.arange(4)[:, None]
    points, labels = torch.rand(4, 3, 2) * 256, torch.tensor([[1, 0, 1], [1, 1, -1], [0, 0, 0], [1, 1, 1]])
    given = (
        boxes if kind != "points" else None,
        points if kind != "boxes" else None,
        labels if kind != "boxes" else None,
    )
    with torch.no_grad():
        logits, iou = pair.ours.decode_low_res(embeddings, *given)
        assert logits.shape == (4, 1, 4 * grid[0], 4 * grid[1])
        assert iou.shape == (4, 1)
        for i in range(4):
            box, coords, label = (None if part is None else part[i : i + 1] for part in given)
            sparse, dense = reference.prompt_encoder(
                points=None if coords is None else (coords, label), boxes=box, masks=None
            )
            expected, expected_iou = reference.mask_decoder(
                image_embeddings=embeddings[i : i + 1],
                image_pe=reference.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            torch.testing.assert_close(logits[i : i + 1], expected, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(iou[i : i + 1], expected_iou, rtol=1e-4, atol=1e-4)


def test_training_reaches_all_three_networks(pair) -> None:
    images = torch.randn(2, 3, 256, 256)
    pair.ours.zero_grad()
    logits, iou = pair.ours.decode_low_res(pair.ours.encode(images), torch.tensor([[9.0, 9, 99, 99]] * 2))
    (logits.mean() + iou.mean()).backward()
    for name in ("image_encoder.patch_embed.proj.weight", "image_encoder.blocks.0.attn.rel_pos_h",
                 "prompt_encoder.point_embeddings.2.weight", "mask_decoder.mask_tokens.weight"):  # fmt: skip
        gradient = pair.ours.get_parameter(name).grad
        assert gradient is not None, name
        assert gradient.abs().sum() > 0, name
    pair.ours.zero_grad()


def test_mixed_precision_stays_close(pair) -> None:
    size = (200, 300)
    images = pair.ours.preprocess(random_image(*size))[None]
    prompts = random_prompts(2, size, "both")
    with torch.no_grad():
        exact = pair.ours.encode(images)
        expected, _ = stacked(pair.ours.decode(exact[0], prompts, size))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = pair.ours.encode(images)
            same_embedding, _ = stacked(pair.ours.decode(exact[0], prompts, size))
            masks, iou = stacked(pair.ours.decode(rounded[0], prompts, size))
    assert torch.isfinite(rounded).all()
    assert 0 < (rounded.float() - exact).abs().mean() < 0.1
    assert torch.equal(same_embedding, expected)  # decoding ignores the Trainer's precision
    assert masks.dtype == iou.dtype == torch.float32


def test_mixed_precision_does_not_move_prompts(pair) -> None:
    """In bfloat16 a place in 256 pixels would be rounded to a whole pixel, in 1024 pixels to four."""
    seen = []
    decoder = pair.ours.mask_decoder
    handle = decoder.register_forward_pre_hook(lambda *inputs: seen.append(inputs[2]), with_kwargs=True)
    embeddings, box = torch.randn(1, 128, 16, 16), torch.tensor([[20.3, 20.7, 200.1, 200.4]])
    with torch.no_grad():
        pair.ours.decode_low_res(embeddings, box)
        with torch.autocast("cpu", torch.bfloat16):
            logits, iou = pair.ours.decode_low_res(embeddings, box)
    handle.remove()
    exact, mixed = seen
    assert torch.equal(mixed["sparse_prompt_embeddings"], exact["sparse_prompt_embeddings"])
    assert torch.equal(mixed["image_pe"], exact["image_pe"])
    assert logits.dtype == iou.dtype == torch.float32
