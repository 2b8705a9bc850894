"""Maps and disagreement against goldens and slow loops."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.uncertainty.maps import EnsembleMoments, MemberMasks, entropy

NAMES = {"entropy", "mean_entropy", "mutual_information", "variance"}


def members(count: int, classes: int = 2, height: int = 6, width: int = 9, seed: int = 0) -> torch.Tensor:
    """(M, K, H, W) float32; some pixels are certain, so that 0 and 1 occur."""
    generator = torch.Generator().manual_seed(seed)
    found = (3 * torch.randn(count, classes, height, width, generator=generator)).softmax(dim=1)
    found[:, :, 0, 0] = torch.eye(classes)[0]
    found[0, :, 0, 1] = torch.eye(classes)[1]
    return found


def moments(probabilities: torch.Tensor) -> EnsembleMoments:
    ensemble = EnsembleMoments()
    for member in probabilities:
        ensemble.add(member)
    return ensemble


def slow_maps(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Pixel by pixel, from the definitions."""
    count, classes, height, width = probabilities.shape
    found = {name: np.zeros((height, width)) for name in NAMES}

    def nats(distribution: list[float]) -> float:
        return -sum(p * np.log(p) for p in distribution if p > 0)

    for y, x in np.ndindex(height, width):
        pixel = probabilities[:, :, y, x]
        mean = [sum(pixel[:, k]) / count for k in range(classes)]
        found["entropy"][y, x] = nats(mean)
        found["mean_entropy"][y, x] = sum(nats(list(member)) for member in pixel) / count
        found["mutual_information"][y, x] = (
            sum(
                p * np.log(p / mean[k])
                for member in pixel
                for k, p in enumerate(member)
                if p > 0  # mean Kullback-Leibler divergence from the mean
            )
            / count
        )
        found["variance"][y, x] = sum(
            sum((member[k] - mean[k]) ** 2 for member in pixel) / count for k in range(1, classes)
        )
    return found


@pytest.mark.parametrize("number", range(3))
def test_golden(goldens: Path, number: int) -> None:
    with np.load(goldens / "uncertainty.npz") as golden:
        ensemble = moments(torch.from_numpy(golden[f"probabilities_{number}"].astype(np.float32)))
        maps = ensemble.maps()
        expected = {
            "entropy": golden[f"entropy_of_mean_nats_{number}"],
            "mean_entropy": golden[f"mean_entropy_nats_{number}"],
        }
        np.testing.assert_allclose(ensemble.mean(), golden[f"mean_{number}"], atol=1e-6, rtol=0)
    for name, values in expected.items():
        np.testing.assert_allclose(maps[name], values, atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        maps["mutual_information"], expected["entropy"] - expected["mean_entropy"], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (2, 2), (5, 2), (4, 3), (7, 5)])
def test_maps_against_loops(count: int, classes: int) -> None:
    probabilities = members(count, classes)
    ensemble = moments(probabilities)
    assert ensemble.members == count
    maps = ensemble.maps()
    assert maps.keys() == NAMES
    for name, expected in slow_maps(probabilities.double().numpy()).items():
        assert maps[name].dtype == torch.float32
        np.testing.assert_allclose(maps[name], expected, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(ensemble.mean(), probabilities.double().mean(dim=0), atol=1e-7)


def test_the_order_of_members_does_not_matter() -> None:
    probabilities = members(30, 3)
    there, back = moments(probabilities).maps(), moments(probabilities.flip(0)).maps()
    for name in NAMES:
        np.testing.assert_allclose(there[name], back[name], atol=1e-6, rtol=0)


def test_certain_pixels_have_no_entropy_and_no_nan() -> None:
    certain = torch.zeros(2, 3, 3)
    certain[0] = 1
    for values in moments(torch.stack([certain, certain])).maps().values():
        assert (values == 0).all()
    torn = moments(torch.stack([certain, certain.flip(0)])).maps()
    assert torn["mean_entropy"].eq(0).all()
    np.testing.assert_allclose(torn["mutual_information"], np.full((3, 3), np.log(2)), rtol=1e-6)
    np.testing.assert_allclose(torn["variance"], np.full((3, 3), 0.25))


def test_members_that_are_alike_do_not_disagree_at_all() -> None:
    maps = moments(members(1, 3).expand(30, -1, -1, -1)).maps()
    assert (maps["mutual_information"] == 0).all()
    assert (maps["variance"] == 0).all()
    assert (maps["entropy"] > 0).any()


def test_many_members_keep_small_differences() -> None:
    """A sum of squares in float32 would lose a spread of 1e-4 beside a mean of 0.5."""
    foreground = 0.5 + 1e-4 * torch.tensor([-1.0, 1.0]).repeat(500)
    probabilities = torch.stack([1 - foreground, foreground], dim=1)[:, :, None, None]
    variance = moments(probabilities).maps()["variance"]
    np.testing.assert_allclose(variance, np.full((1, 1), 1e-8), rtol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_taken_in(dtype: torch.dtype) -> None:
    found = moments(
        members(3).to(dtype) if dtype != torch.bfloat16 else torch.full((2, 2, 4, 4), 0.5).to(dtype)
    )
    assert all(torch.isfinite(values).all() for values in found.maps().values())


@pytest.mark.gpu
def test_members_may_lie_on_a_gpu() -> None:
    probabilities = members(5, 3)
    here, there = moments(probabilities).maps(), moments(probabilities.cuda()).maps()
    for name in NAMES:
        assert torch.equal(here[name], there[name])
    labels = probabilities.argmax(dim=1)
    on_gpu = collected(labels.cuda(), 3).pairwise_dice_disagreement()
    assert on_gpu == collected(labels.numpy(), 3).pairwise_dice_disagreement()


def test_the_members_are_left_as_they_were() -> None:
    probabilities = members(3).requires_grad_()
    before = probabilities.detach().clone()
    assert not moments(probabilities).mean().requires_grad
    assert torch.equal(probabilities.detach(), before)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (torch.full((2, 6, 9), 0.4), "not 1 in sum"),
        (torch.stack([torch.full((6, 9), -0.5), torch.full((6, 9), 1.5)]), "below 0"),
        (torch.full((2, 6, 9), float("nan")), "not a probability"),
        (torch.full((2, 9, 6), 0.5), "shape"),
        (torch.full((2, 6), 0.5), "shape"),
    ],
)
def test_what_is_no_member_is_refused(bad: torch.Tensor, said: str) -> None:
    ensemble = moments(members(1))
    with pytest.raises(ValueError, match=said):
        ensemble.add(bad)
    assert ensemble.members == 1


def test_no_member_no_maps() -> None:
    with pytest.raises(ValueError, match="no member"):
        EnsembleMoments().maps()
    with pytest.raises(ValueError, match="no member"):
        EnsembleMoments().mean()
    with pytest.raises(ValueError, match="no member"):
        MemberMasks().pairwise_dice_disagreement()


def test_entropy_of_plain_distributions() -> None:
    certain, even = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    assert entropy(certain[:, None, None]).item() == 0
    assert entropy(even[:, None, None]).item() == pytest.approx(np.log(2))
    assert entropy(torch.full((7, 4, 2, 3), 0.25)).shape == (7, 2, 3)


def slow_disagreement(labels: np.ndarray, classes: int) -> float:
    found = []
    for a, b in itertools.combinations(labels, 2):
        found.append(np.mean([dice(a == label, b == label) for label in range(1, classes)]))
    return 1 - float(np.mean(found))


def collected(labels: np.ndarray | torch.Tensor, classes: int) -> MemberMasks:
    masks = MemberMasks(classes)
    for member in labels:
        masks.add(member)
    return masks


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (16, 16), (33, 40)])
def test_disagreement_against_the_loop_over_pairs(
    classes: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.random.default_rng(1).integers(classes, size=(6, *shape)).astype(np.uint8)
    labels[0] = 0  # an empty member
    expected = slow_disagreement(labels, classes)
    masks = collected(labels, classes)
    assert masks.members == 6
    assert masks.pairwise_dice_disagreement() == pytest.approx(expected, abs=1e-12)
    assert collected(labels[::-1], classes).pairwise_dice_disagreement() == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr(
        "medsam_exp.nnunet.uncertainty.maps._NUMBERS_AT_ONCE", 100
    )  # several blocks of pixels
    assert masks.pairwise_dice_disagreement() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.zeros((3, 4, 5), bool), 0.0),  # all empty
        (np.ones((3, 4, 5), bool), 0.0),  # all full
        (np.array([np.zeros((4, 5)), np.ones((4, 5))], bool), 1.0),  # one of two is empty
        (np.ones((1, 4, 5), bool), 0.0),  # a single member
    ],
)
def test_disagreement_at_its_ends(labels: np.ndarray, expected: float) -> None:
    assert collected(labels, 2).pairwise_dice_disagreement() == expected


def test_masks_come_as_tensors_too() -> None:
    labels = torch.randint(0, 2, (4, 8, 9), generator=torch.Generator().manual_seed(0))
    assert collected(labels, 2).pairwise_dice_disagreement() == pytest.approx(
        slow_disagreement(labels.numpy(), 2)
    )


def test_masks_of_another_shape_or_class_are_refused() -> None:
    masks = collected(np.zeros((1, 4, 5), np.uint8), 2)
    with pytest.raises(ValueError, match="shape"):
        masks.add(np.zeros((5, 4), np.uint8))
    for label in (2, -1):
        with pytest.raises(ValueError, match="labels outside 0 to 1"):
            masks.add(np.full((4, 5), label))
    with pytest.raises(ValueError, match="at least 2"):
        MemberMasks(1)
    assert masks.members == 1
