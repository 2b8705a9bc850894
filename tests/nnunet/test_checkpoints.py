"""Our checkpoints are nnU-Net's, and nnU-Net's are ours: loaded, predicted with and trained on by either."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medsam_exp.nnunet.checkpoint import read_checkpoint
from medsam_exp.nnunet.environment import nnunet_folders
from medsam_exp.nnunet.inference import Predictor
from medsam_exp.nnunet.raw_dataset import Case
from medsam_exp.nnunet.results import ResultsFolder, results_folder
from medsam_exp.nnunet.settings import CONFIGURATION
from medsam_exp.types import RGBImage, UserError
from tests.nnunet.cases import gray_case
from tests.nnunet_toy import Toy, make_toy, random_results, stock_prediction, stock_predictor, train


@pytest.fixture(scope="module")
def trained(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    """Two snapshots and the final checkpoint of a training on all cases."""
    parts = toy.elsewhere(tmp_path_factory.mktemp("trained")).parts("all")
    train(parts)
    return results_folder(parts.results.parent, "checkpoint_*.pth")


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    """A network for colour images and three classes."""
    cases = [gray_case(f"c{number}", number, (70, 80), classes=3) for number in range(5)]
    tinted = [Case(case.id, case.image // np.array([1, 2, 3], np.uint8), case.label) for case in cases]
    labels = {"background": 0, "first": 1, "second": 2, "third": 3}
    toy = make_toy(tmp_path_factory.mktemp("colour"), tinted, labels)
    return random_results(toy, tmp_path_factory.mktemp("colour_results"), 2)


def noise(height: int, width: int, *, gray: bool = True) -> RGBImage:
    channels = 1 if gray else 3
    pixels = np.random.default_rng(height).integers(1, 256, (height, width, channels), dtype=np.uint8)
    return np.array(np.broadcast_to(pixels, (height, width, 3)))


def with_black_margins(height: int, width: int, *, gray: bool = True) -> RGBImage:
    image = noise(height, width, gray=gray)
    image[:9] = image[-5:] = 0
    image[:, :13] = 0
    return image


IMAGES = {
    "larger than the patch": noise(100, 150),
    "smaller than the patch": noise(30, 41),
    "a patch": noise(64, 64),
    "black margins": with_black_margins(90, 110),
    "smaller within margins": with_black_margins(50, 70),
    "all black": np.zeros((70, 80, 3), np.uint8),
}


def assert_bit_equal(
    results: ResultsFolder, member: Path, images: dict[str, RGBImage], *, mirroring: bool = True
) -> None:
    stock = stock_predictor(
        results.folder, member.name, member.parent.name.removeprefix("fold_"), mirroring=mirroring
    )
    ours = Predictor(results, mirroring=mirroring)
    ours.use(member)
    for name, image in images.items():
        mask, probabilities = stock_prediction(stock, image)
        prepared = ours.prepare(image)
        found = ours.probabilities(prepared)
        outside = [1.0] + [0.0] * (len(found) - 1)
        whole = [
            ours.to_original(values, prepared, fill) for values, fill in zip(found, outside, strict=True)
        ]
        assert mask.shape == image.shape[:2], name
        assert np.array_equal(whole, probabilities), name
        assert np.array_equal(np.argmax(whole, axis=0), mask), name


def test_every_checkpoint_predicts_in_stock_nnunet_what_it_predicts_here(trained: ResultsFolder) -> None:
    assert [member.name for member in trained.members] == [
        "checkpoint_epoch_0000.pth",
        "checkpoint_epoch_0001.pth",
        "checkpoint_final.pth",
    ]
    for member in trained.members:
        assert_bit_equal(trained, member, {name: IMAGES[name] for name in ("a patch", "black margins")})


@pytest.mark.parametrize("mirroring", [True, False])
def test_images_of_any_size_and_with_margins(toy: Toy, tmp_path: Path, mirroring: bool) -> None:
    """Random weights, so that masks are not empty."""
    results = random_results(toy, tmp_path, 1)
    assert_bit_equal(results, results.members[0], IMAGES, mirroring=mirroring)


def test_colour_and_three_classes(colour: ResultsFolder) -> None:
    images = {"plain": noise(80, 100, gray=False), "margins": with_black_margins(90, 70, gray=False)}
    for member in colour.members:
        assert_bit_equal(colour, member, images)
    assert colour.labels == {"background": 0, "first": 1, "second": 2, "third": 3}


def stock_trainer(toy: Toy, fold: int | str) -> Any:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    parts = toy.parts(fold)
    plans = {**parts._trainer.plans_manager.plans, "continue_training": False}
    with nnunet_folders(toy.root):
        trainer = nnUNetTrainer(plans, CONFIGURATION, fold, parts._trainer.dataset_json, torch.device("cpu"))
        trainer.initialize()
    return trainer


@pytest.fixture
def stock_folder(toy: Toy, tmp_path: Path) -> Path:
    """A results folder as nnU-Net's own trainer leaves it, with figures that are numpy's numbers."""
    own = toy.elsewhere(tmp_path)
    trainer = stock_trainer(own, 0)
    for epoch in range(2):
        trainer.logger.log("mean_fg_dice", np.nanmean([0.5]), epoch)
        trainer.logger.log("dice_per_class_or_region", [np.float32(0.5), np.float64(0.5)], epoch)
        trainer.logger.log("train_losses", np.mean(np.ones(3, np.float32)), epoch)
    trainer.inference_allowed_mirroring_axes = (0, 1)
    own.parts(0).write_results_folder()
    file = Path(trainer.output_folder) / "checkpoint_best.pth"
    trainer.save_checkpoint(str(file))
    return file


def test_a_checkpoint_of_nnunets_own_trainer_is_a_member(stock_folder: Path) -> None:
    assert type(read_checkpoint(stock_folder)["logging"]["train_losses"][0]) is np.float32
    results = results_folder(stock_folder.parents[1], "checkpoint_best.pth")
    assert_bit_equal(results, stock_folder, {"image": IMAGES["larger than the patch"]})


def test_a_checkpoint_from_before_numpy_2(stock_folder: Path, tmp_path: Path) -> None:
    """numpy's own module had another name; most checkpoints that there are name that one."""
    old = io.BytesIO()
    with zipfile.ZipFile(stock_folder) as new, zipfile.ZipFile(old, "w") as rewritten:
        for item in new.infolist():
            content = new.read(item)
            if item.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            rewritten.writestr(item, content)
    file = tmp_path / "old.pth"
    file.write_bytes(old.getvalue())
    assert read_checkpoint(file)["logging"] == read_checkpoint(stock_folder)["logging"]


def test_a_file_of_pytorchs_older_kind_is_read(stock_folder: Path, tmp_path: Path) -> None:
    """As `torch.save` wrote them before 1.6: no archive, so tensors cannot stay on the disk."""
    content = torch.load(stock_folder, weights_only=False)
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    found, expected = read_checkpoint(tmp_path / "old.pth"), read_checkpoint(stock_folder)
    assert found["logging"] == expected["logging"]
    assert found["network_weights"].keys() == expected["network_weights"].keys()
    for name, value in expected["network_weights"].items():
        assert torch.equal(found["network_weights"][name], value), name


class Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/this_must_not_be",)


@pytest.mark.parametrize("archive", [True, False])
def test_a_file_that_could_run_code_is_refused(tmp_path: Path, archive: bool) -> None:
    file = tmp_path / "evil.pth"
    content = {"network_weights": {}, "logging": Malicious()}
    torch.save(content, file, _use_new_zipfile_serialization=archive)
    with pytest.raises(UserError, match=r"evil.pth holds code besides weights \(posix.system\)"):
        read_checkpoint(file)
    assert not Path("/tmp/this_must_not_be").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04cut off"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.pth"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"broken.pth cannot be read; is the file complete"):
        read_checkpoint(file)


def test_something_else_than_a_checkpoint_is_named(tmp_path: Path) -> None:
    torch.save({"weights": {}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="it has no network_weights; give one that nnU-Net 2 wrote"):
        read_checkpoint(tmp_path / "other.pth")
    torch.save({"state_dict": {}, "plot_stuff": ()}, tmp_path / "first.model")
    with pytest.raises(UserError, match=r"it has no network_weights \(one of nnU-Net 1\?\)"):
        read_checkpoint(tmp_path / "first.model")
    with pytest.raises(UserError, match="No such file"):
        read_checkpoint(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("fold", [0, "all"])
def test_nnunets_own_trainer_goes_on_with_our_final_checkpoint(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fold: int | str
) -> None:
    """As `nnUNetv2_train --c` does: weights, momentum, epoch and figures; then two epochs of its own."""
    own = toy.elsewhere(tmp_path)
    parts = own.parts(fold)
    train(parts)
    trainer = stock_trainer(own, fold)
    with nnunet_folders(tmp_path, log_file=tmp_path / "log.txt"):
        trainer.load_checkpoint(str(parts.results / "checkpoint_final.pth"))
        assert trainer.current_epoch == 2
        weights = trainer.network.state_dict()
        for name, value in parts.network.state_dict().items():
            assert torch.equal(value, weights[name]), name
        moved = (
            len(trainer.optimizer.param_groups[0]["params"]) - 2
        )  # the coarsest output has no part in the loss
        assert len(trainer.optimizer.state) == moved
        trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 4, 1, 1
        monkeypatch.setenv("nnUNet_n_proc_DA", "0")
        trainer.on_train_start()
        for epoch in range(trainer.current_epoch, trainer.num_epochs):
            trainer.on_epoch_start()
            trainer.on_train_epoch_start()
            trainer.on_train_epoch_end([trainer.train_step(next(trainer.dataloader_train))])
            trainer.on_validation_epoch_start()
            with torch.no_grad():
                trainer.on_validation_epoch_end([trainer.validation_step(next(trainer.dataloader_val))])
            trainer.on_epoch_end()
            assert trainer.current_epoch == epoch + 1
    assert {len(values) for values in trainer.logger.get_checkpoint().values()} == {4}
    assert np.isfinite(trainer.logger.get_value("ema_fg_dice", -1))


@pytest.mark.slow
def test_the_command_line_of_nnunet_predicts_our_masks(trained: ResultsFolder, tmp_path: Path) -> None:
    """`nnUNetv2_predict`, as a user runs it on a folder of PNG images; it takes as many threads as there are cores."""
    (tmp_path / "in").mkdir()
    images = {f"image{number}": image for number, image in enumerate(IMAGES.values())}
    for name, image in images.items():
        Image.fromarray(image[..., 0]).save(tmp_path / "in" / f"{name}_0000.png")
    results = trained.folder.parents[1]
    program = Path(sys.executable).with_name("nnUNetv2_predict")
    places = [
        "-i",
        tmp_path / "in",
        "-o",
        tmp_path / "out",
        "-d",
        trained.folder.parent.name,
        "-c",
        CONFIGURATION,
    ]
    options = ["-f", "all", "-device", "cpu", "-npp", "0", "-nps", "0"]
    with nnunet_folders(results.parent):
        done = subprocess.run([program, *places, *options], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = Predictor(trained)
    ours.use(trained.members[-1])
    for name, image in images.items():
        prepared = ours.prepare(image)
        mask = ours.to_original(ours.probabilities(prepared).argmax(0).float(), prepared)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / f"{name}.png")), mask), name
