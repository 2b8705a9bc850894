"""Checks of SAM models and of what surrounds them: prompters and fusions."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsam_exp.masks.components import label_components
from medsam_exp.sam.fusion.best_iou import BestIou
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from medsam_exp.testing.arrays import SHAPES, example_masks
from medsam_exp.testing.expectation import built, expect, name_of
from medsam_exp.training.sam_inference import SamAnswer, answer_prompts
from medsam_exp.types import Mask, MaskFusion, Prompter, Prompts, RGBImage

_SIZES = ((1, 1), (1, 40), (40, 1), (3, 2), (37, 53), (150, 200))
_IMAGE_SIZES = ((60, 90), (90, 60), (1, 40), (40, 1), (1, 1), (5, 3), (700, 900))
_SIZE = (50, 70)
_DECODED = ("square", "not square", "a row")


def check_prompter(prompter: Prompter | Any, *, per_component: bool = True) -> None:
    """Check a prompter: any mask becomes prompts that SAM takes, the same for the same generator.

    Args:
        prompter: the object, or a configuration node that describes it.
        per_component: points of a prompt must be of one connected component, and in its box, and there is a prompt
            for each component; False for prompts that look at the mask as a whole.

    Raises:
        AssertionError: says what it does not keep.
    """
    prompter = built(prompter)
    name = name_of(prompter)
    for shape_name, shape in SHAPES.items():
        masks = example_masks(shape)
        prompts = {mask_name: _prompt(prompter, mask) for mask_name, mask in masks.items()}
        np.random.seed(1)  # noqa: NPY002 (the global generator must not matter)
        for mask_name, mask in reversed(masks.items()):
            case, made = f"{name}: mask {mask_name!r}, {shape}", prompts[mask_name]
            same = _equal(_prompt(prompter, mask), made)
            expect(same, f"{case}: other prompts the second time; take all randomness from the generator")
            expect(len(made) or not mask.any(), f"{case}: a mask that is not empty needs at least one prompt")
            _expect_boxes(made, shape, case)
            _expect_points(made, mask, prompter, case)
            if per_component:
                _expect_points_in_component(made, mask, case)
        none = prompts["empty"]
        never_matters = all(_equal(other, none) for other in prompts.values())
        expect(
            len(none) == 0 or never_matters,
            f"{name}: an empty mask must give no prompts, unless all masks give the same ones",
        )
        if shape_name in _DECODED:
            _expect_decodable(list(prompts.values()), shape, name)


def check_fusion(fusion: MaskFusion | Any) -> None:
    """Check a fusion: one mask of the image's size, the same each time; proposals that agree are kept.

    Args:
        fusion: the object, or a configuration node that describes it.

    Raises:
        AssertionError: says what it does not keep.
    """
    fusion = built(fusion)
    name = name_of(fusion)
    for size in _SIZES:
        logits, iou = _proposals(fusion, size)
        before = logits.clone(), iou.clone()
        mask, kept = fusion(logits, iou)
        expect(mask.shape == size, f"{name}: the mask has {tuple(mask.shape)}, but the image {size}")
        expect(mask.dtype == torch.bool, f"{name}: the mask is {mask.dtype}, but it must be bool")
        in_range = isinstance(kept, float) and float(iou.min()) - 1e-6 <= kept <= float(iou.max()) + 1e-6
        expect(in_range, f"{name}: the predicted IoU {kept!r} is no float between those of the proposals")
        unchanged = torch.equal(logits, before[0]) and torch.equal(iou, before[1])
        expect(unchanged, f"{name}: the logits or the predicted IoU were changed")
        again = fusion(logits, iou)
        expect(torch.equal(again[0], mask) and again[1] == kept, f"{name}: another mask the second time")
    for size in ((1, 9), (30, 20)):
        logits, iou = _proposals(fusion, size)
        for kind, one in _agreed(size).items():
            mask, _ = fusion(one.expand_as(logits), iou)
            expect(torch.equal(mask, one > 0), f"{name}: proposals that all show {kind} are not kept")
    logits, iou = _proposals(fusion, (8, 9))
    for values in ((-5, -5, 5), (5, 5, -5), (-5, 5, 5)):
        unequal = torch.tensor(values)[: len(logits), None, None].expand_as(logits).float()
        mask, kept = fusion(unequal, iou)
        expect(mask.shape == (8, 9), f"{name}: empty and full proposals give no mask of the image's size")
        expect(len(mask.unique()) == 1, f"{name}: empty and full proposals give a mask that is neither")
        expect(kept == kept, f"{name}: empty and full proposals give a predicted IoU that is not a number")
    for scale in (1e4, 1e-30):
        mask, _ = fusion(logits * scale, iou)
        expect(mask.shape == (8, 9), f"{name}: logits times {scale} give no mask of the image's size")
    for worthless in (torch.zeros_like(iou), -iou):
        _, kept = fusion(logits, worthless)
        expect(kept == kept, f"{name}: predicted IoUs of {worthless.tolist()} give one that is not a number")


def check_sam(sam: SamModel | Any) -> None:
    """Check a SAM model: any image size and prompts are answered in the image's frame, each prompt for itself.

    Args:
        sam: the model, or a configuration node that describes it; a narrow one with random weights is fastest.

    Raises:
        AssertionError: says what it does not keep.
    """
    sam = built(sam)
    name = name_of(sam)
    weights, attributes = copy.deepcopy(sam.state_dict()), set(vars(sam))
    random_state = torch.random.get_rng_state()
    for size in _IMAGE_SIZES:
        _check_image(sam, size, f"{name}: an image of {size}")
    for kind in ("boxes", "points", "both") if sam.framing.takes_points else ("boxes",):
        _check_prompts(sam, kind, f"{name}: prompts of kind {kind}")
    images = [_image(_SIZE, seed) for seed in range(3)]
    together, alone = _embeddings(sam, *images), _embeddings(sam, images[1])
    same = torch.allclose(together[1], alone[0], rtol=1e-4, atol=1e-4)
    expect(same, f"{name}: an image's embedding depends on its batch mates")
    different = not torch.allclose(together[0], together[1], atol=1e-3)
    expect(different, f"{name}: different images have the same embedding")
    expect(not sam.training, f"{name}: the model is left in training mode")
    expect(set(vars(sam)) == attributes, f"{name}: attributes are left on the model")
    equal = all(torch.equal(value, weights[key]) for key, value in sam.state_dict().items())
    expect(equal, f"{name}: weights were changed")
    gradients = any(parameter.grad is not None for parameter in sam.parameters())
    expect(not gradients, f"{name}: gradients are left on the parameters")
    hooks = any(part._forward_hooks or part._forward_pre_hooks for part in sam.modules())
    expect(not hooks, f"{name}: hooks are left on the model")
    expect(
        torch.equal(torch.random.get_rng_state(), random_state), f"{name}: global random numbers were drawn"
    )


def _check_image(sam: SamModel, size: tuple[int, int], case: str) -> None:
    image = _image(size)
    pixels = sam.preprocess(image)
    fits = pixels.shape == (3, sam.image_size, sam.image_size) and pixels.dtype == torch.float32
    expect(fits, f"{case} is preprocessed to {tuple(pixels.shape)}, {pixels.dtype}")
    expect(bool(torch.isfinite(pixels).all()), f"{case} is preprocessed to numbers that are not finite")
    (embedding,) = _embeddings(sam, image)
    prompts = _prompts(2, size, "boxes")
    for fusion, proposals in ((SingleMask(), 1), (BestIou(), 3)):
        _expect_answer(answer_prompts(sam, fusion, embedding, prompts, size), 2, proposals, size, case)


def _check_prompts(sam: SamModel, kind: str, case: str) -> None:
    (embedding,) = _embeddings(sam, _image(_SIZE))
    for count in (1, 40):
        prompts = _prompts(count, _SIZE, kind)
        answer, again = (answer_prompts(sam, SingleMask(), embedding, prompts, _SIZE) for _ in range(2))
        _expect_answer(answer, count, 1, _SIZE, case)
        same = np.array_equal(answer.mask, again.mask) and answer.iou_predictions == again.iou_predictions
        expect(same, f"{case}: another answer the second time")
    prompts = _prompts(20, _SIZE, kind)
    together = [logits for logits, _ in sam.decode(embedding, prompts, _SIZE)]
    for number in (0, 7, 19):
        alone = Prompts(*(part if part is None else part[number : number + 1] for part in _parts(prompts)))
        ((logits, _),) = sam.decode(embedding, alone, _SIZE)
        same = torch.allclose(logits, together[number], rtol=1e-4, atol=1e-4)
        expect(same, f"{case}: a prompt's mask depends on the other prompts")
    united = answer_prompts(sam, SingleMask(), embedding, prompts, _SIZE).mask
    union = np.any([(logits[0] > 0).numpy() for logits in together], axis=0)
    expect(np.array_equal(united, union), f"{case}: the mask is not the union of the prompts' masks")
    if prompts.point_coords is None:
        return
    moved = copy.deepcopy(prompts)
    moved.point_coords[:, 3] = [33, 44]  # type: ignore[index]
    answers = [list(sam.decode(embedding, given, _SIZE, multimask=True)) for given in (prompts, moved)]
    for (logits, iou), (others, other_iou) in zip(*answers, strict=True):
        same = torch.equal(logits, others) and torch.equal(iou, other_iou)
        expect(same, f"{case}: the place of points that are padding (label -1) matters")


def _expect_answer(answer: SamAnswer, prompts: int, proposals: int, size: tuple[int, int], case: str) -> None:
    fits = answer.mask.shape == size and answer.mask.dtype == np.bool_
    expect(fits, f"{case}: the mask is {answer.mask.shape}, {answer.mask.dtype}, not {size} bool")
    numbers = [len(row) for row in answer.proposal_iou_predictions]
    expect(len(answer.iou_predictions) == prompts, f"{case}: no predicted IoU for each of {prompts} prompts")
    expect(numbers == [proposals] * prompts, f"{case}: {numbers} proposals, not {proposals} for each prompt")
    expect(np.isfinite(answer.iou_predictions).all(), f"{case}: a predicted IoU is not finite")


def _image(size: tuple[int, int], seed: int = 0) -> RGBImage:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def _embeddings(sam: SamModel, *images: RGBImage) -> Tensor:
    with torch.no_grad():
        return sam.encode(torch.stack([sam.preprocess(image) for image in images]))


def _prompts(count: int, size: tuple[int, int], kind: str) -> Prompts:
    """Boxes, points (the last ones padding, label -1), or both."""
    generator, (height, width) = np.random.default_rng(count), size
    corners = np.sort(generator.uniform(0, 1, (count, 2, 2)), axis=1) * [width, height]
    coords = (generator.uniform(0, 1, (count, 4, 2)) * [width, height]).astype(np.float32)
    coords[:, 3] = 0
    return Prompts(
        corners.reshape(count, 4).astype(np.float32) if kind != "points" else None,
        coords if kind != "boxes" else None,
        np.tile([1, 0, 1, -1], (count, 1)) if kind != "boxes" else None,
    )


def _prompt(prompter: Prompter, mask: Mask) -> Prompts:
    return prompter(mask, np.random.default_rng(5))


def _parts(prompts: Prompts) -> tuple[Any, ...]:
    return prompts.boxes_xyxy, prompts.point_coords, prompts.point_labels


def _equal(one: Prompts, other: Prompts) -> bool:
    return all(
        np.array_equal(mine, others) if mine is not None and others is not None else mine is others
        for mine, others in zip(_parts(one), _parts(other), strict=True)
    )


def _expect_boxes(prompts: Prompts, shape: tuple[int, int], case: str) -> None:
    boxes = prompts.boxes_xyxy
    expect(boxes is not None or prompts.point_coords is not None, f"{case}: neither boxes nor points")
    if boxes is None:
        return
    fits = boxes.dtype == np.float32 and boxes.shape == (len(prompts), 4)
    expect(fits, f"{case}: boxes are {boxes.shape}, {boxes.dtype}, but they must be (N, 4) float32")
    x0, y0, x1, y1 = boxes.T
    height, width = shape
    inside = ((x0 >= 0) & (x0 <= x1) & (x1 <= width) & (y0 >= 0) & (y0 <= y1) & (y1 <= height)).all()
    expect(inside, f"{case}: boxes must be x0, y0, x1, y1 within the image; are x and y swapped?")


def _expect_points(prompts: Prompts, mask: Mask, prompter: Prompter, case: str) -> None:
    """Points are different pixels of the image; foreground in the mask, background outside."""
    coords, labels = prompts.point_coords, prompts.point_labels
    expect((coords is None) == (labels is None), f"{case}: point coordinates and labels belong together")
    if coords is None or labels is None:
        return
    expect(prompter.gives_points, f"{case}: there are points, but gives_points is False")
    types = coords.dtype == np.float32 and labels.dtype == np.int64
    expect(types, f"{case}: points must be float32 and labels int64, not {coords.dtype} and {labels.dtype}")
    fits = coords.shape == (*labels.shape, 2) and len(labels) == len(prompts)
    expect(fits, f"{case}: points are {coords.shape} and labels {labels.shape}, not (N, P, 2) and (N, P)")
    for of_prompt, kinds in zip(coords, labels, strict=True):
        expect(set(kinds.tolist()) <= {-1, 0, 1}, f"{case}: labels must be 1, 0 or -1 (no point)")
        expect((kinds == 1).any(), f"{case}: a prompt has no foreground point")
        given, shown = of_prompt[kinds >= 0].astype(int), kinds[kinds >= 0]
        expect(len(np.unique(given, axis=0)) == len(given), f"{case}: a point is given twice")
        foreground = mask[tuple(given[shown == 1].T[::-1])]
        expect(foreground.all(), f"{case}: a foreground point is outside the mask; are x and y swapped?")
        background = mask[tuple(given[shown == 0].T[::-1])]
        expect(not background.any(), f"{case}: a background point is inside the mask")


def _expect_points_in_component(prompts: Prompts, mask: Mask, case: str) -> None:
    if prompts.point_coords is None or prompts.point_labels is None:
        return
    labels, count = label_components(mask)
    expect(len(prompts) == count, f"{case}: {len(prompts)} prompts for {count} connected components")
    for number in range(count):
        x, y = prompts.point_coords[number][prompts.point_labels[number] == 1].astype(int).T
        of_it = (labels[y, x] == number + 1).all()
        expect(of_it, f"{case}: points of prompt {number} are outside its connected component")
        if prompts.boxes_xyxy is not None:
            x0, y0, x1, y1 = prompts.boxes_xyxy[number]
            in_box = ((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)).all()
            expect(in_box, f"{case}: points of prompt {number} are outside its box")


def _expect_decodable(prompts: list[Prompts], shape: tuple[int, int], name: str) -> None:
    sam = load_sam("tiny")
    embedding = torch.randn(128, 16, 16, generator=torch.Generator().manual_seed(0))
    for made in prompts:
        answers = list(sam.decode(embedding, made, shape))
        expect(len(answers) == len(made), f"{name}: SAM gives {len(answers)} answers to {len(made)} prompts")
        for logits, iou in answers:
            fits = logits.shape == (1, *shape) and iou.shape == (1,)
            expect(fits, f"{name}: SAM's logits for an image of {shape} are {tuple(logits.shape)}")
            finite = bool(torch.isfinite(logits).all() and torch.isfinite(iou).all())
            expect(finite, f"{name}: SAM's answer to these prompts is not finite")


def _proposals(fusion: MaskFusion, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Logits (M, H, W) and predicted IoU (M,), as many as the fusion wants."""
    generator = torch.Generator().manual_seed(0)
    count = 3 if fusion.multimask else 1
    return torch.randn((count, *size), generator=generator), torch.rand(count, generator=generator)


def _agreed(size: tuple[int, int]) -> dict[str, Tensor]:
    """Logits (H, W) by what they show."""
    pixel = torch.full(size, -5.0)
    pixel[0, 4] = 5
    noise = 5 * torch.randn(size, generator=torch.Generator().manual_seed(1))
    return {
        "nothing": torch.full(size, -5.0),
        "the whole image": torch.full(size, 5.0),
        "a pixel": pixel,
        "noise": noise,
    }
