"""Weak supervision with labels and settings that cannot work: one sentence, before anything is trained."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medsam_exp.config.schema import check
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.training.nnunet_data import SeededBatches
from medsam_exp.types import UserError
from tests.compose import composed
from tests.weak_chain import CHAIN, TRAINING, finish, record, weights

pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Masks of the six images to train on, from another program."""
    scans = PhantomDataset(seed=31, count=6, pair_fraction=0.4)
    folder = tmp_path / "masks"
    folder.mkdir()
    for sample in scans.samples:
        mask = scans.read_ground_truth(sample.id)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{sample.id}.png")
    return folder


def _rewrite(folder: Path, change: Callable[[Any], Any], files: slice = slice(1)) -> Path:
    changed = sorted(folder.glob("*.png"))[files]
    for file in changed:
        Image.fromarray(change(np.asarray(Image.open(file)).copy())).save(file)
    return changed[0]


def test_masks_of_a_folder_are_labels(tmp_path: Path, masks: Path) -> None:
    finish(tmp_path, "weak_label=folder", f"weak_label.root={masks}", "stages=[weak_label]")
    made = record(tmp_path, "weak_label")
    assert len(made["kept"]) == 6


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: sorted(folder.glob("*.png"))[0].unlink(), "1 of 6 images have no usable label"),
        (lambda folder: _rewrite(folder, lambda mask: mask[:-3]), "pixels"),
        (lambda folder: _rewrite(folder, lambda mask: mask // 2), "127"),
        (lambda folder: _rewrite(folder, lambda mask: mask * 0, slice(None)), "all 6 labels are empty"),
    ],
    ids=["missing", "another size", "another value", "all empty"],
)
def test_bad_labels_are_named_before_anything_is_trained(
    tmp_path: Path, masks: Path, spoil: Callable[[Path], Any], sentence: str
) -> None:
    spoil(masks)
    with pytest.raises(UserError, match=sentence):
        finish(tmp_path, "weak_label=folder", f"weak_label.root={masks}", *TRAINING)
    assert not any(tmp_path.glob("artifacts/train_nnunet/*/nnUNet_preprocessed"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["nnunet.epochs=5", "nnunet.cycles=2"], "nnunet: epochs=5 cannot be cut into 2 equal cycles"),
        (
            ["nnunet.epochs=5", "nnunet.cycles=2", "nnunet.late_snapshots=0"],
            "cannot be cut into 2 equal cycles",
        ),
        (["nnunet.late_snapshots=3"], "late=3 and sparse=0 snapshots a cycle are more than the 2 epochs"),
        (
            ["ensemble.results=/no/such/folder", "stages=[nnunet_ensemble,evaluate]"],
            "/no/such/folder has no plans.json",
        ),
        (
            ["++train_data.seed=2", "train_data.split=test"],
            "3 of the 3 images of data .phantom, seed 2., which evaluate measures on",
        ),
        (["nnunet.planner=NoPlanner"], "nnunet.planner=NoPlanner is no planner"),
        (["ensemble.precision=bf16-true"], "ensemble.precision is bf16-true; give 32-true or bf16-mixed"),
        (["nnunet.batch_size=3", "trainer=ddp", "trainer.accelerator=cpu"], "a process of this job failed"),
        (
            ["nnunet.disk_limit_gb=0.001"],
            "more than nnunet.disk_limit_gb=0.001; raise it, or keep fewer snapshots",
        ),
        (
            ["++train_data.count=4"],
            "nnunet.folds=0 needs at least 5 labelled images",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path: Path, overrides: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        finish(tmp_path, *overrides)
    assert not any(tmp_path.glob("artifacts/train_nnunet/*/checkpoints"))
    if "cycle" in sentence:
        assert not any(tmp_path.glob("artifacts/weak_label/*")), "said too late"


def test_one_cycle_may_have_its_jump_but_several_need_a_cyclic_schedule(tmp_path: Path) -> None:
    small = [*CHAIN, f"paths.outputs={tmp_path}"]
    check(composed(*small, "nnunet_schedule=cyclic_poly", "nnunet.cycles=1"))
    with pytest.raises(
        UserError, match="cycles=2, but the schedule poly has one: use cycles=1 or cyclic_poly"
    ):
        check(composed(*small, "nnunet_schedule=poly", "nnunet.cycles=2", "nnunet.late_snapshots=1"))


def test_an_augmenting_process_that_dies_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = SeededBatches.__getitem__

    def dies(batches: SeededBatches, place: tuple[int, int]) -> Any:
        if place[0] == 1 and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return drawn(batches, place)

    monkeypatch.setattr(SeededBatches, "__getitem__", dies)
    with pytest.raises(
        UserError, match=r"an augmenting process of nnU-Net's died .* lower workers, or nnunet.batch_size"
    ):
        finish(tmp_path, *TRAINING, "workers=1")
    monkeypatch.undo()
    finish(tmp_path, *TRAINING)
    assert len(weights(tmp_path)) == 3
