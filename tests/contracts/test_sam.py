"""What every SAM promises, over all YAMLs of conf/sam: small, with random weights, but in each family's framing."""

import copy

import numpy as np
import pytest
import torch

from medsam_exp.config.build import build
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.fusion.best_iou import BestIou
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.model import SamModel
from medsam_exp.sam.sam_med2d import build_sam_med2d
from medsam_exp.sam.tiny import build_tiny_sam
from medsam_exp.training.sam_inference import SamAnswer, answer_prompts
from medsam_exp.types import Prompts, RGBImage
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "sam").glob("*.yaml"))
SIZES = [(60, 90), (90, 60), (1, 40), (40, 1), (1, 1), (5, 3), (700, 900)]


def small_network(architecture: str) -> SamModel:
    """The choice's kind of network, but narrow and random: full-size ones are for the slow tier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if architecture == "sam_med2d":
            network = build_sam_med2d(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
        else:
            network = build_tiny_sam()
    return SamModel(network, FAMILIES[architecture].framing(network.image_encoder.img_size)).eval()


@pytest.fixture(scope="module", params=CHOICES)
def sam(request: pytest.FixtureRequest) -> SamModel:
    node = composed(f"sam={request.param}").sam
    return build(node) if node.architecture == "tiny" else small_network(node.architecture)


def random_image(size: tuple[int, int], seed: int = 0) -> RGBImage:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def random_prompts(sam: SamModel, count: int, size: tuple[int, int], kind: str) -> Prompts:
    """Boxes, points (the last ones padding, label -1), or both."""
    if kind != "boxes" and not sam.framing.takes_points:
        pytest.skip("takes boxes only")
    generator, (height, width) = np.random.default_rng(count), size
    corners = np.sort(generator.uniform(0, 1, (count, 2, 2)), axis=1) * [width, height]
    coords = (generator.uniform(0, 1, (count, 4, 2)) * [width, height]).astype(np.float32)
    labels = np.tile([1, 0, 1, -1], (count, 1))
    coords[:, 3] = 0
    return Prompts(
        corners.reshape(count, 4).astype(np.float32) if kind != "points" else None,
        coords if kind != "boxes" else None,
        labels if kind != "boxes" else None,
    )


def embedded(sam: SamModel, *images: RGBImage) -> torch.Tensor:
    with torch.no_grad():
        return sam.encode(torch.stack([sam.preprocess(image) for image in images]))


def check_answer(answer: SamAnswer, count: int, masks: int, size: tuple[int, int]) -> None:
    assert answer.mask.shape == size
    assert answer.mask.dtype == np.bool_
    assert len(answer.iou_predictions) == count
    assert [len(row) for row in answer.proposal_iou_predictions] == [masks] * count
    assert np.isfinite(answer.iou_predictions).all()


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_answered_in_its_own_frame(sam: SamModel, size: tuple[int, int]) -> None:
    image = random_image(size)
    prompts = random_prompts(sam, 2, size, "boxes")
    pixels = sam.preprocess(image)
    assert pixels.shape == (3, sam.image_size, sam.image_size)
    assert pixels.dtype == torch.float32
    assert torch.isfinite(pixels).all()
    (embedding,) = embedded(sam, image)
    check_answer(answer_prompts(sam, SingleMask(), embedding, prompts, size), 2, 1, size)
    check_answer(answer_prompts(sam, BestIou(), embedding, prompts, size), 2, 3, size)


@pytest.mark.parametrize("kind", ["boxes", "points", "both"])
@pytest.mark.parametrize("count", [1, 40])
def test_one_and_many_prompts_of_each_kind(sam: SamModel, kind: str, count: int) -> None:
    size = (50, 70)
    prompts = random_prompts(sam, count, size, kind)
    (embedding,) = embedded(sam, random_image(size))
    answer = answer_prompts(sam, SingleMask(), embedding, prompts, size)
    check_answer(answer, count, 1, size)
    again = answer_prompts(sam, SingleMask(), embedding, prompts, size)
    assert np.array_equal(answer.mask, again.mask)
    assert answer.iou_predictions == again.iou_predictions


@pytest.mark.parametrize("kind", ["points", "both"])
def test_where_padding_points_lie_means_nothing(sam: SamModel, kind: str) -> None:
    size = (50, 70)
    prompts = random_prompts(sam, 3, size, kind)
    assert prompts.point_coords is not None
    moved = copy.deepcopy(prompts)
    moved.point_coords[:, 3] = [33, 44]
    (embedding,) = embedded(sam, random_image(size))
    answers = [list(sam.decode(embedding, given, size, multimask=True)) for given in (prompts, moved)]
    for (logits, iou), (other_logits, other_iou) in zip(*answers, strict=True):
        assert torch.equal(logits, other_logits)
        assert torch.equal(iou, other_iou)


@pytest.mark.parametrize("kind", ["boxes", "points", "both"])
def test_a_prompts_mask_does_not_depend_on_the_other_prompts(sam: SamModel, kind: str) -> None:
    size = (50, 70)
    prompts = random_prompts(sam, 20, size, kind)
    (embedding,) = embedded(sam, random_image(size))
    together = [logits for logits, _ in sam.decode(embedding, prompts, size)]
    for number in (0, 7, 19):
        alone = Prompts(
            *(None if part is None else part[number : number + 1]
              for part in (prompts.boxes_xyxy, prompts.point_coords, prompts.point_labels))
        )  # fmt: skip
        ((logits, _),) = sam.decode(embedding, alone, size)
        torch.testing.assert_close(logits, together[number], rtol=1e-4, atol=1e-4)


def test_the_union_is_that_of_single_prompts(sam: SamModel) -> None:
    size = (50, 70)
    prompts = random_prompts(sam, 5, size, "boxes")
    (embedding,) = embedded(sam, random_image(size))
    united = answer_prompts(sam, SingleMask(), embedding, prompts, size).mask
    masks = [(logits[0] > 0).numpy() for logits, _ in sam.decode(embedding, prompts, size)]
    assert np.array_equal(united, np.any(masks, axis=0))


def test_an_image_does_not_depend_on_its_batch(sam: SamModel) -> None:
    images = [random_image((50, 70), seed) for seed in range(3)]
    together, alone = embedded(sam, *images), embedded(sam, images[1])
    torch.testing.assert_close(together[1], alone[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_nothing_is_left_on_the_model(sam: SamModel) -> None:
    before = {name: tensor.clone() for name, tensor in sam.state_dict().items()}
    attributes = set(vars(sam))
    size, state = (50, 70), torch.random.get_rng_state()
    (embedding,) = embedded(sam, random_image(size))
    answer_prompts(sam, BestIou(), embedding, random_prompts(sam, 2, size, "boxes"), size)
    assert not sam.training
    assert set(vars(sam)) == attributes
    assert all(torch.equal(tensor, before[name]) for name, tensor in sam.state_dict().items())
    assert all(parameter.grad is None for parameter in sam.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in sam.modules())
    assert torch.equal(torch.random.get_rng_state(), state)
