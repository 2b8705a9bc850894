"""Unknown pixels in a training, as nnU-Net's own trainer bears them: losses, weights, figures, patches, predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medsam_exp.nnunet.inference import Predictor
from medsam_exp.nnunet.raw_dataset import Case, case_name
from medsam_exp.nnunet.results import results_folder
from medsam_exp.nnunet.weak_label.compose import labels_with_ignore
from medsam_exp.training.nnunet_data import SeededBatches
from medsam_exp.training.nnunet_snapshots import FINAL
from tests.nnunet.cases import gray_case
from tests.nnunet.test_training import Losses, nnunets_own
from tests.nnunet_toy import Toy, make_toy, train

LABELS = labels_with_ignore({"background": 0, "mass": 1, "cyst": 2})
UNKNOWN = LABELS["ignore"]


def partly_known(seed: int) -> Case:
    """A case with two classes, of whose label a third is unknown, some of each class and of the background."""
    whole = gray_case(f"scan {seed}", seed, (80, 72), classes=2)
    label = whole.label.copy()
    label[:, 20:44] = UNKNOWN
    return Case(whole.id, whole.image, label)


@pytest.fixture(scope="module")
def toy_ignoring(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    return make_toy(tmp_path_factory.mktemp("ignoring"), [partly_known(seed) for seed in range(8)], LABELS)


@pytest.fixture(scope="module")
def both(toy_ignoring: Toy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same training by Lightning and by nnU-Net."""
    ours, theirs = (
        toy_ignoring.elsewhere(tmp_path_factory.mktemp(name)).parts() for name in ("ours", "theirs")
    )
    noted = Losses()
    train(ours, noted)
    losses, figures = nnunets_own(theirs)
    return {"ours": ours, "theirs": theirs, "noted": noted, "losses": losses, "figures": figures}


def test_losses_weights_and_figures_are_those_of_nnunets_own_steps(both: dict[str, Any]) -> None:
    assert both["noted"].losses == pytest.approx(both["losses"], abs=1e-5)
    theirs = both["theirs"].network.state_dict()
    for name, value in both["ours"].network.state_dict().items():
        assert torch.allclose(value, theirs[name], atol=1e-5), name
    history = both["ours"].history
    for name in ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice"):
        assert history[name] == pytest.approx(both["figures"][name], abs=1e-5), name
    found, wanted = (each["dice_per_class_or_region"] for each in (history, both["figures"]))
    assert np.shape(found) == np.shape(wanted) == (2, 2)
    assert np.allclose(found, wanted)


def test_the_network_knows_no_class_of_unknown_pixels(both: dict[str, Any]) -> None:
    assert both["ours"].labels == {"background": 0, "mass": 1, "cyst": 2}
    assert both["ours"].ignore_label == UNKNOWN
    ours = both["ours"].results
    results = results_folder(ours.parent, FINAL)
    assert results.labels == both["ours"].labels
    predictor = Predictor(results, mirroring=False)
    predictor.use(results.members[0])
    probabilities = predictor.probabilities(predictor.prepare(partly_known(20).image))
    assert len(probabilities) == 3


def test_all_folds_write_figures_for_the_classes_alone(toy_ignoring: Toy, tmp_path: Path) -> None:
    parts = toy_ignoring.elsewhere(tmp_path).parts("all")
    assert np.shape(parts.checkpoint(0, None)["logging"]["dice_per_class_or_region"]) == (1, 2)


def test_patches_have_unknown_pixels_and_what_they_are_said_to_be_teaches_nothing(
    toy_ignoring: Toy, tmp_path: Path
) -> None:
    """Each is drawn around a known pixel, and the network's output where the label is unknown has no gradient."""
    parts = toy_ignoring.elsewhere(tmp_path).parts()
    batch = SeededBatches(parts.batches()["train"], 0, "train", 1)[0, 0]
    outputs = [each.detach().requires_grad_() for each in parts.network(batch.image)]
    parts.loss(outputs, batch.target).backward()
    used = [
        (each, target) for each, target in zip(outputs, batch.target, strict=True) if each.grad is not None
    ]
    assert len(used) == len(outputs) - 1, "nnU-Net leaves out the coarsest output"
    for output, target in used:
        unknown = (target == UNKNOWN).expand_as(output)
        assert unknown.any()
        assert not output.grad[unknown].any()
        assert output.grad[~unknown].any()


def test_the_chance_of_a_case_is_in_proportion_to_its_weight(toy: Toy, tmp_path: Path) -> None:
    parts = toy.elsewhere(tmp_path).parts("all")
    names = [case_name(case.id) for case in toy.cases]
    weights = dict(zip(names, [0.05, *[1.0] * 6, 3.0], strict=True))
    loader = parts.batches(weights)["train"]
    np.random.seed(0)  # noqa: NPY002 - nnU-Net's generator
    drawn = np.concatenate([loader.get_indices() for _ in range(2000)])
    shares = {name: float(np.mean(drawn == name)) for name in names}
    total = sum(weights.values())
    assert shares == pytest.approx({name: weight / total for name, weight in weights.items()}, abs=0.02)
    assert parts.batches()["train"].sampling_probabilities is None


def test_validation_does_not_weigh(toy: Toy, tmp_path: Path) -> None:
    weights = {case_name(case.id): 0.5 + number for number, case in enumerate(toy.cases)}
    sources = toy.elsewhere(tmp_path).parts(0).batches(weights)
    assert sources["validation"].sampling_probabilities is None
    assert len(sources["train"].sampling_probabilities) == len(sources["train"].indices)
