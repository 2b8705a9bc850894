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
from medsam_exp.sam.prompt.on_image import prompter_of
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.testing.arrays import SHAPES, example_masks
from medsam_exp.testing.expectation import about, contract, expect
from medsam_exp.testing.networks import left_as_it_was
from medsam_exp.training.sam_inference import SamAnswer, answer_prompts
from medsam_exp.types import MapFusion, MapPrompter, Mask, MaskFusion, Prompter, Prompts, RGBImage

_SIZES = ((1, 1), (1, 40), (40, 1), (3, 2), (37, 53), (150, 200))
_IMAGE_SIZES = ((60, 90), (90, 60), (1, 40), (40, 1), (1, 1), (5, 3), (700, 900))
_SIZE = (50, 70)
_DECODED = ("square", "not square", "a row")


@contract
def check_prompter(prompter: Prompter | MapPrompter | Any, /, *, per_component: bool = True) -> None:
    """Check a prompter: any mask becomes prompts that SAM takes, the same for the same generator.

    Args:
        prompter: the object, or a configuration node that describes it.
        per_component: points of a prompt must be of one connected component, and in its box, and there is a prompt
            for each component; False for prompts that look at the mask as a whole.
    """
    for shape_name, shape in SHAPES.items():
        masks = example_masks(shape)
        prompts = {mask_name: _prompt(prompter, mask) for mask_name, mask in masks.items()}
        np.random.seed(1)  # noqa: NPY002 (the global generator must not matter)
        for mask_name, mask in reversed(masks.items()):
            made = prompts[mask_name]
            with about(f"mask {mask_name!r}, {shape}"):
                same = _equal(_prompt(prompter, mask), made)
                expect(same, "other prompts the second time; take all randomness from the generator")
                expect(len(made) or not mask.any(), "a mask that is not empty needs at least one prompt")
                _expect_boxes(made, shape)
                _expect_points(made, mask, prompter)
                if per_component:
                    _expect_points_in_component(made, mask)
        none = prompts["empty"]
        right = len(none) == 0 or all(_equal(other, none) for other in prompts.values())
        expect(right, "an empty mask must give no prompts, unless all masks give the same ones")
        if shape_name in _DECODED:
            _expect_decodable(list(prompts.values()), shape)


@contract
def check_fusion(choice: MaskFusion | MapFusion | Any, /) -> None:
    """Check a fusion: one mask of the image's size, the same each time; proposals that agree are kept."""
    for size in _SIZES:
        fusion = _on_some_map(choice, size)
        logits, iou = _proposals(fusion, size)
        before = logits.clone(), iou.clone()
        mask, kept = fusion(logits, iou)
        expect(mask.shape == size, f"the mask has {tuple(mask.shape)}, but the image {size}")
        expect(mask.dtype == torch.bool, f"the mask is {mask.dtype}, but it must be bool")
        in_range = isinstance(kept, float) and float(iou.min()) - 1e-6 <= kept <= float(iou.max()) + 1e-6
        expect(in_range, f"the predicted IoU {kept!r} is no float between those of the proposals")
        unchanged = torch.equal(logits, before[0]) and torch.equal(iou, before[1])
        expect(unchanged, "the logits or the predicted IoU were changed")
        again = fusion(logits, iou)
        expect(torch.equal(again[0], mask) and again[1] == kept, "another mask the second time")
    for size in ((1, 9), (30, 20)):
        fusion = _on_some_map(choice, size)
        logits, iou = _proposals(fusion, size)
        for kind, one in _agreed(size).items():
            mask, _ = fusion(one.expand_as(logits), iou)
            expect(torch.equal(mask, one > 0), f"proposals that all show {kind} are not kept")
    fusion = _on_some_map(choice, (8, 9))
    logits, iou = _proposals(fusion, (8, 9))
    for values in ((-5, -5, 5), (5, 5, -5), (-5, 5, 5)):
        mask, kept = fusion(torch.tensor(values)[: len(logits), None, None].expand_as(logits).float(), iou)
        with about("empty and full proposals"):
            expect(mask.shape == (8, 9), "the mask has not the image's size")
            expect(len(mask.unique()) == 1, "the mask is neither empty nor full")
            expect(kept == kept, "the predicted IoU is not a number")
    for scale in (1e4, 1e-30):
        mask, _ = fusion(logits * scale, iou)
        expect(mask.shape == (8, 9), f"logits times {scale} give no mask of the image's size")
    for worthless in (torch.zeros_like(iou), -iou):
        _, kept = fusion(logits, worthless)
        expect(kept == kept, f"predicted IoUs of {worthless.tolist()} give one that is not a number")


@contract
def check_sam(sam: PromptableModel | Any, /) -> None:
    """Check a SAM model: any image size and prompts are answered in the image's frame, each prompt for itself.

    A narrow model with random weights is fastest.
    """
    random_state = torch.random.get_rng_state()
    with left_as_it_was(sam):
        for size in _IMAGE_SIZES:
            with about(f"an image of {size}"):
                _check_image(sam, size)
        for kind in ("boxes", "points", "both") if sam.framing.takes_points else ("boxes",):
            with about(f"prompts of kind {kind}"):
                _check_prompts(sam, kind)
        images = [_image(_SIZE, seed) for seed in range(3)]
        together, alone = _embeddings(sam, *images), _embeddings(sam, images[1])
    same = torch.allclose(together[1], alone[0], rtol=1e-4, atol=1e-4)
    expect(same, "an image's embedding depends on its batch mates")
    different = not torch.allclose(together[0], together[1], atol=1e-3)
    expect(different, "different images have the same embedding")
    expect(not sam.training, "the model is left in training mode")
    expect(torch.equal(torch.random.get_rng_state(), random_state), "global random numbers were drawn")


def _check_image(sam: PromptableModel, size: tuple[int, int]) -> None:
    image = _image(size)
    pixels = sam.preprocess(image)
    fits = pixels.shape == (3, sam.image_size, sam.image_size) and pixels.dtype == torch.float32
    expect(fits, f"it is preprocessed to {tuple(pixels.shape)}, {pixels.dtype}")
    expect(bool(torch.isfinite(pixels).all()), "it is preprocessed to numbers that are not finite")
    (embedding,) = _embeddings(sam, image)
    prompts = _prompts(2, size, "boxes")
    for fusion, proposals in ((SingleMask(), 1), (BestIou(), 3)):
        _expect_answer(answer_prompts(sam, fusion, embedding, prompts, size), 2, proposals, size)


def _check_prompts(sam: PromptableModel, kind: str) -> None:
    (embedding,) = _embeddings(sam, _image(_SIZE))
    for count in (1, 40):
        prompts = _prompts(count, _SIZE, kind)
        answer, again = (answer_prompts(sam, SingleMask(), embedding, prompts, _SIZE) for _ in range(2))
        _expect_answer(answer, count, 1, _SIZE)
        same = np.array_equal(answer.mask, again.mask) and answer.iou_predictions == again.iou_predictions
        expect(same, "another answer the second time")
    prompts = _prompts(20, _SIZE, kind)
    together = [logits for logits, _ in sam.decode(embedding, prompts, _SIZE)]
    for number in (0, 7, 19):
        parts = (part if part is None else part[number : number + 1] for part in _parts(prompts))
        boxes, coords, labels, masks = parts
        alone = Prompts(boxes, coords, labels, masks)
        ((logits, _),) = sam.decode(embedding, alone, _SIZE)
        same = torch.allclose(logits, together[number], rtol=1e-4, atol=1e-4)
        expect(same, "a prompt's mask depends on the other prompts")
    united = answer_prompts(sam, SingleMask(), embedding, prompts, _SIZE).mask
    union = np.any([(logits[0] > 0).numpy() for logits in together], axis=0)
    expect(np.array_equal(united, union), "the mask is not the union of the prompts' masks")
    if prompts.point_coords is None:
        return
    moved = copy.deepcopy(prompts)
    moved.point_coords[:, 3] = [33, 44]  # type: ignore[index]
    answers = [list(sam.decode(embedding, given, _SIZE, multimask=True)) for given in (prompts, moved)]
    for (logits, iou), (others, other_iou) in zip(*answers, strict=True):
        same = torch.equal(logits, others) and torch.equal(iou, other_iou)
        expect(same, "the place of points that are padding (label -1) matters")


def _expect_answer(answer: SamAnswer, prompts: int, proposals: int, size: tuple[int, int]) -> None:
    fits = answer.mask.shape == size and answer.mask.dtype == np.bool_
    expect(fits, f"the mask is {answer.mask.shape}, {answer.mask.dtype}, not {size} bool")
    numbers = [len(row) for row in answer.proposal_iou_predictions]
    expect(len(answer.iou_predictions) == prompts, f"no predicted IoU for each of {prompts} prompts")
    expect(numbers == [proposals] * prompts, f"{numbers} proposals, not {proposals} for each prompt")
    expect(np.isfinite(answer.iou_predictions).all(), "a predicted IoU is not finite")


def _image(size: tuple[int, int], seed: int = 0) -> RGBImage:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def _embeddings(sam: PromptableModel, *images: RGBImage) -> Tensor:
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


def _prompt(prompter: Prompter | MapPrompter, mask: Mask) -> Prompts:
    noise = np.random.default_rng(2)
    read = lambda: noise.random(mask.shape, np.float32), lambda: _image(mask.shape)
    return prompter_of(prompter, *read)(mask, np.random.default_rng(5))


def _parts(prompts: Prompts) -> tuple[Any, ...]:
    return prompts.boxes_xyxy, prompts.point_coords, prompts.point_labels, prompts.mask_logits


def _equal(one: Prompts, other: Prompts) -> bool:
    return all(
        np.array_equal(mine, others) if mine is not None and others is not None else mine is others
        for mine, others in zip(_parts(one), _parts(other), strict=True)
    )


def _expect_boxes(prompts: Prompts, shape: tuple[int, int]) -> None:
    boxes = prompts.boxes_xyxy
    given = any(part is not None for part in _parts(prompts)) or not len(prompts)
    expect(given, "neither boxes nor points nor a mask")
    if boxes is None:
        return
    fits = boxes.dtype == np.float32 and boxes.shape == (len(prompts), 4)
    expect(fits, f"boxes are {boxes.shape}, {boxes.dtype}, but they must be (N, 4) float32")
    x0, y0, x1, y1 = boxes.T
    height, width = shape
    inside = ((x0 >= 0) & (x0 <= x1) & (x1 <= width) & (y0 >= 0) & (y0 <= y1) & (y1 <= height)).all()
    expect(inside, "boxes must be x0, y0, x1, y1 within the image; are x and y swapped?")


def _expect_points(prompts: Prompts, mask: Mask, prompter: Prompter | MapPrompter) -> None:
    """Points are different pixels of the image; foreground in the mask, background outside."""
    coords, labels = prompts.point_coords, prompts.point_labels
    expect((coords is None) == (labels is None), "point coordinates and labels belong together")
    if coords is None or labels is None:
        return
    expect(prompter.gives_points, "there are points, but gives_points is False")
    types = coords.dtype == np.float32 and labels.dtype == np.int64
    expect(types, f"points must be float32 and labels int64, not {coords.dtype} and {labels.dtype}")
    fits = coords.shape == (*labels.shape, 2) and len(labels) == len(prompts)
    expect(fits, f"points are {coords.shape} and labels {labels.shape}, not (N, P, 2) and (N, P)")
    for of_prompt, kinds in zip(coords, labels, strict=True):
        expect(set(kinds.tolist()) <= {-1, 0, 1}, "labels must be 1, 0 or -1 (no point)")
        expect((kinds == 1).any(), "a prompt has no foreground point")
        given, shown = of_prompt[kinds >= 0].astype(int), kinds[kinds >= 0]
        expect(len(np.unique(given, axis=0)) == len(given), "a point is given twice")
        foreground = mask[tuple(given[shown == 1].T[::-1])]
        expect(foreground.all(), "a foreground point is outside the mask; are x and y swapped?")
        background = mask[tuple(given[shown == 0].T[::-1])]
        expect(not background.any(), "a background point is inside the mask")


def _expect_points_in_component(prompts: Prompts, mask: Mask) -> None:
    if prompts.point_coords is None or prompts.point_labels is None:
        return
    labels, count = label_components(mask)
    expect(len(prompts) == count, f"{len(prompts)} prompts for {count} connected components")
    for number in range(count):
        x, y = prompts.point_coords[number][prompts.point_labels[number] == 1].astype(int).T
        of_it = (labels[y, x] == number + 1).all()
        expect(of_it, f"points of prompt {number} are outside its connected component")
        if prompts.boxes_xyxy is not None:
            x0, y0, x1, y1 = prompts.boxes_xyxy[number]
            in_box = ((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)).all()
            expect(in_box, f"points of prompt {number} are outside its box")


def _expect_decodable(prompts: list[Prompts], shape: tuple[int, int]) -> None:
    sam = load_sam("tiny")
    embedding = torch.randn(128, 16, 16, generator=torch.Generator().manual_seed(0))
    for made in prompts:
        answers = list(sam.decode(embedding, made, shape))
        expect(len(answers) == len(made), f"SAM gives {len(answers)} answers to {len(made)} prompts")
        for logits, iou in answers:
            fits = logits.shape == (1, *shape) and iou.shape == (1,)
            expect(fits, f"SAM's logits for an image of {shape} are {tuple(logits.shape)}")
            finite = bool(torch.isfinite(logits).all() and torch.isfinite(iou).all())
            expect(finite, "SAM's answer to these prompts is not finite")


def _on_some_map(fusion: MaskFusion | MapFusion, size: tuple[int, int]) -> MaskFusion:
    """The fusion of an image whose map is noise, where the map decides."""
    if not isinstance(fusion, MapFusion):
        return fusion
    return fusion.on_map(np.random.default_rng(2).random(size, np.float32))


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
