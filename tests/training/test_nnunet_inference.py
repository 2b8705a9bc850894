"""An ensemble's answer is the mean over its members' probabilities, however the images are shared out."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from medsam_exp.nnunet import inference
from medsam_exp.nnunet.inference import Predictor
from medsam_exp.nnunet.results import ResultsFolder, results_folder
from medsam_exp.training.nnunet_inference import EnsembleAnswer, ensemble_answers
from medsam_exp.training.prediction import PredictModule, batch_loader
from medsam_exp.types import RGBImage, UserError
from tests.nnunet_toy import Toy, random_results, stock_prediction, stock_predictor

MEMBERS = 3


def noise(seed: int, height: int, width: int, margin: int = 0) -> RGBImage:
    pixels = np.random.default_rng(seed).integers(1, 256, (height, width, 1), dtype=np.uint8)
    pixels[:margin] = pixels[:, :margin] = 0
    return np.repeat(pixels, 3, axis=2)


IMAGES = {
    "first": noise(0, 70, 90),
    "second": noise(1, 40, 50),
    "third": noise(2, 80, 66, margin=11),
    "fourth": noise(3, 64, 64),
    "fifth": noise(4, 65, 70),
}


@pytest.fixture(scope="module")
def results(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    return random_results(toy, tmp_path_factory.mktemp("ensemble"), MEMBERS)


def answers(
    results: ResultsFolder, ids: Any = tuple(IMAGES), *, at_once: int = 16, threads: int = 0
) -> dict[str, EnsembleAnswer]:
    """The ensemble's answers, by a loader and a Trainer as the stage has them."""
    found: dict[str, EnsembleAnswer] = {}
    predictor = Predictor(results)

    def read(names: Any) -> Any:
        return [(name, predictor.prepare(IMAGES[name])) for name in names]

    loader = batch_loader(ids, read, batch_size=at_once, threads=threads)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    module = PredictModule(predictor.network, partial(ensemble_answers, predictor), found.__setitem__)
    trainer.predict(module, loader, return_predictions=False)
    return found


@pytest.fixture(scope="module")
def reference(results: ResultsFolder) -> dict[str, EnsembleAnswer]:
    return answers(results)


def assert_equal(left: dict[str, EnsembleAnswer], right: dict[str, EnsembleAnswer]) -> None:
    for name, answer in left.items():
        assert np.array_equal(answer.probabilities, right[name].probabilities), name
        assert answer.disagreement == right[name].disagreement
        for kind, values in answer.maps.items():
            assert np.array_equal(values, right[name].maps[kind]), (name, kind)


def test_the_mean_is_that_of_stock_nnunets_probabilities(
    results: ResultsFolder, reference: dict[str, EnsembleAnswer]
) -> None:
    """One stock predictor after the other, and numpy; the mean of logits would be something else."""
    members = [stock_predictor(results.folder, member.name) for member in results.members]
    several = stock_predictor(results.folder, results.members[0].name)
    several.list_of_parameters = [member.list_of_parameters[0] for member in members]
    for name, image in IMAGES.items():
        each = np.stack([stock_prediction(member, image)[1] for member in members]).astype(np.float64)
        answer = reference[name]
        assert answer.members == MEMBERS
        assert answer.probabilities.shape == (2, *image.shape[:2])
        assert np.abs(answer.probabilities - each.mean(0)).max() < 1e-6, name
        logits = stock_prediction(several, image)[1]
        assert np.abs(answer.probabilities - logits).max() > 0.01, "the test's members are too much alike"


def test_outside_the_crop_is_background_for_certain(reference: dict[str, EnsembleAnswer]) -> None:
    answer = reference["third"]
    margin = np.ones((80, 66), bool)
    margin[11:, 11:] = False
    assert (answer.probabilities[0][margin] == 1).all()
    assert (answer.probabilities[1][margin] == 0).all()
    assert set(answer.maps) == {"entropy", "mean_entropy", "mutual_information", "variance"}
    for name, values in answer.maps.items():
        assert values.shape == (80, 66)
        assert (values[margin] == 0).all(), name
        assert (values[~margin] > 0).mean() > 0.9, name


@pytest.mark.parametrize(("at_once", "threads"), [(1, 0), (2, 0), (16, 2), (2, 2)])
def test_sharing_out_the_images_changes_nothing(
    results: ResultsFolder, reference: dict[str, EnsembleAnswer], at_once: int, threads: int
) -> None:
    found = answers(results, at_once=at_once, threads=threads)
    assert_equal(reference, found)
    assert list(found) == list(IMAGES)


def test_the_order_of_images_changes_nothing(
    results: ResultsFolder, reference: dict[str, EnsembleAnswer]
) -> None:
    assert_equal(reference, answers(results, tuple(IMAGES)[::-1], at_once=2))


def test_the_order_of_members_changes_no_more_than_rounding(
    results: ResultsFolder, reference: dict[str, EnsembleAnswer]
) -> None:
    backwards = answers(ResultsFolder(results.folder, results.members[::-1]))
    for name, answer in reference.items():
        assert np.allclose(answer.probabilities, backwards[name].probabilities, atol=1e-6)
        assert answer.disagreement == pytest.approx(backwards[name].disagreement)
        for kind, values in answer.maps.items():
            assert np.allclose(values, backwards[name].maps[kind], atol=1e-6), kind


@pytest.mark.parametrize(("at_once", "chunks"), [(16, 1), (2, 3), (1, 5)])
def test_a_member_is_read_once_for_a_chunk_and_let_go_before_the_next(
    results: ResultsFolder, monkeypatch: pytest.MonkeyPatch, at_once: int, chunks: int
) -> None:
    """So memory does not grow with the number of members."""
    import weakref

    read, alive, most = Counter(), weakref.WeakSet(), 0

    def counted(path: Path) -> dict[str, Any]:
        nonlocal most
        content = real(path)
        alive.update(content["network_weights"].values())
        own = len({tensor.data_ptr() for tensor in content["network_weights"].values()})
        most = max(most, len({tensor.data_ptr() for tensor in alive}) / own)
        read[path.name] += 1
        return content

    real = inference.read_checkpoint
    monkeypatch.setattr(inference, "read_checkpoint", counted)
    answers(results, at_once=at_once)
    assert read == {member.name: chunks for member in results.members}
    assert most <= 1


def test_one_member_has_no_disagreement(results: ResultsFolder) -> None:
    answer = answers(ResultsFolder(results.folder, results.members[:1]), ("first",))["first"]
    assert answer.members == 1
    assert answer.disagreement == 0
    assert not answer.maps["variance"].any()
    assert not answer.maps["mutual_information"].any()


def test_the_disagreement_is_that_of_the_members_masks(
    results: ResultsFolder, reference: dict[str, EnsembleAnswer]
) -> None:
    masks = [
        stock_prediction(stock_predictor(results.folder, member.name), IMAGES["first"])[0]
        for member in results.members
    ]
    pairs = [(0, 1), (0, 2), (1, 2)]
    dice = [2 * (masks[a] * masks[b]).sum() / (masks[a].sum() + masks[b].sum()) for a, b in pairs]
    assert reference["first"].disagreement == pytest.approx(1 - np.mean(dice))


def test_a_member_of_another_network_is_named(toy: Toy, results: ResultsFolder, tmp_path: Path) -> None:
    other = random_results(toy, tmp_path, 1)
    state = torch.load(other.members[0], weights_only=True)
    state["network_weights"] = {"other": torch.zeros(1)}
    torch.save(state, other.members[0])
    predictor = Predictor(ResultsFolder(results.folder, (results.members[0], other.members[0])))
    with pytest.raises(UserError, match=r"checkpoint_epoch_0000.pth does not fit the network of nnUNetPlans"):
        predictor.use(other.members[0])


def test_a_colour_image_becomes_gray_where_the_network_saw_gray(results: ResultsFolder) -> None:
    predictor = Predictor(results)
    gray = np.full((64, 64, 3), 77, np.uint8)
    gray[:, 32:] = 150
    colour = gray.copy()
    colour[:, 32:] = 200, 100, 50  # luminance 124.2
    assert predictor.prepare(gray).data.shape[0] == 1
    levels = np.unique(predictor._channels(colour))
    assert levels.tolist() == [77, 124]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda folder: (folder / "plans.json").unlink(),
            "has no plans.json: give the folder TRAINER__PLANS__",
        ),
        (
            lambda folder: [file.unlink() for file in folder.glob("fold_all/*.pth")],
            "no checkpoint_epoch_\\*.pth in fold_\\*",
        ),
    ],
)
def test_what_a_results_folder_lacks_is_named(toy: Toy, tmp_path: Path, spoil: Any, sentence: str) -> None:
    folder = random_results(toy, tmp_path, 1).folder
    spoil(folder)
    with pytest.raises(UserError, match=sentence):
        results_folder(folder, "checkpoint_epoch_*.pth")


def test_folds_that_are_not_there_are_named(results: ResultsFolder) -> None:
    with pytest.raises(UserError, match=r"no checkpoint_final\.pth in fold_0, fold_3"):
        results_folder(results.folder, "checkpoint_final.pth", [0, 3])


def test_a_trainer_that_is_not_installed_is_named(toy: Toy, tmp_path: Path) -> None:
    results = random_results(toy, tmp_path, 1)
    state = torch.load(results.members[0], weights_only=True)
    torch.save({**state, "trainer_name": "nnUNetTrainerOfSomebody"}, results.members[0])
    with pytest.raises(UserError, match="trained by nnUNetTrainerOfSomebody, which the installed nnunetv2"):
        Predictor(results)


def test_a_member_that_is_not_finite_is_named(results: ResultsFolder, tmp_path: Path) -> None:
    content = torch.load(results.members[1], weights_only=False)
    name, values = next(item for item in content["network_weights"].items() if item[1].ndim == 4)
    values.view(-1)[3] = torch.nan
    broken = tmp_path / "checkpoint_broken.pth"
    torch.save(content, broken)
    spoilt = ResultsFolder(results.folder, (results.members[0], broken))
    with pytest.raises(UserError, match=rf"weights of nnU-Net in {broken} are broken.*{name}"):
        answers(spoilt, ("fourth",))


@pytest.mark.parametrize(
    "failure", [torch.full((2, 64, 64), torch.nan), RuntimeError("Encountered inf in x")]
)
def test_probabilities_that_are_not_finite_are_named(
    results: ResultsFolder, monkeypatch: pytest.MonkeyPatch, failure: Any
) -> None:
    def give(*_: Any) -> torch.Tensor:
        if isinstance(failure, RuntimeError):
            raise failure
        return failure

    monkeypatch.setattr(Predictor, "probabilities", give)
    with pytest.raises(UserError, match=rf"probabilities of 'fourth' by {results.members[0]}"):
        answers(results, ("fourth",))
