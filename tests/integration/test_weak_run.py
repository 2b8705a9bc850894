"""Weak supervision as whole runs: labels, training, masks; broken off, killed, and by two processes."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medsam_exp.training.nnunet_training import NnunetModule
from tests.stored import stored, stored_ids
from tests.weak_chain import CHAIN, TRAINING, artifacts, finish, record, weights

pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
ROOT = Path(__file__).resolve().parents[2]


def assert_equal_weights(left: Path, right: Path) -> None:
    first, second = weights(left), weights(right)
    assert first.keys() == second.keys()
    assert first
    for file, tensors in first.items():
        for name, value in tensors.items():
            assert torch.equal(value, second[file][name]), (file, name)


def results(outputs: Path, stage: str) -> dict[str, Any]:
    """Everything that a stage stored, apart from the manifest."""
    records = stored(artifacts(outputs, stage))
    found = {}
    for sample_id in stored_ids(records.folder):
        found[sample_id] = [records.info(sample_id)]
        if stage != "evaluate":
            found[sample_id].append(records.mask_png(sample_id))
        if stage == "nnunet_ensemble":
            found[sample_id].append(records.maps_npz(sample_id))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("undisturbed")
    summary = finish(outputs)
    assert summary["metrics"]["weak/dsc"]["n"] == 3
    assert len(weights(outputs)) == 3
    return outputs


def break_off_fifth_step(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the fifth training step fail once; returns the list that every step's number is put into."""
    step, taken = NnunetModule.training_step, list[int]()

    def broken_once(module: NnunetModule, *rest: Any) -> Any:
        taken.append(module.global_step)
        if len(taken) == 5:
            raise KeyError("broken off")
        return step(module, *rest)

    monkeypatch.setattr(NnunetModule, "training_step", broken_once)
    return taken


def training(outputs: Path) -> dict[str, Any]:
    """What is recorded of a training; of its files the names, as nnU-Net writes the time into each checkpoint."""
    found = record(outputs, "train_nnunet")
    return {**found, "files": sorted(found["files"])}


def test_broken_off_in_training_and_resumed(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = break_off_fifth_step(monkeypatch)
    monkeypatch.setattr("medsam_exp.stages.context.CHECKPOINT_EVERY", timedelta(0))
    with pytest.raises(KeyError, match="broken off"):
        finish(tmp_path, *TRAINING)
    finish(tmp_path, *TRAINING)
    assert taken == [0, 1, 2, 3, 4, 4, 5]
    assert_equal_weights(undisturbed, tmp_path)
    assert training(undisturbed) == training(tmp_path)


def test_a_finished_fold_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds, broken off in the second: the record tells the same of both as that of an undisturbed training."""
    folds = (*TRAINING, "nnunet.folds=[0,1]", "nnunet.epochs=1", "nnunet.late_snapshots=1")
    finish(tmp_path / "whole", *folds)
    taken = break_off_fifth_step(monkeypatch)
    with pytest.raises(KeyError, match="broken off"):
        finish(tmp_path / "broken", *folds)
    finish(tmp_path / "broken", *folds)
    assert taken == [0, 1, 2, 0, 1, 0, 1, 2]
    assert_equal_weights(tmp_path / "whole", tmp_path / "broken")
    records = [training(tmp_path / name) for name in ("whole", "broken")]
    assert records[0] == records[1]
    assert {name.split("/")[0] for name in records[0]["figures"]} == {"fold_0", "fold_1"}


def command(outputs: Path, *overrides: str) -> list[str]:
    return [sys.executable, "run.py", *CHAIN, f"paths.outputs={outputs}", *overrides]


def kill_when(outputs: Path, ready: Callable[[], bool]) -> None:
    """Start a run, and kill it without warning as soon as something is there."""
    process = subprocess.Popen(
        command(outputs), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not ready():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"


@pytest.mark.slow
def test_killed_in_training_and_in_prediction_and_resumed(tmp_path: Path, undisturbed: Path) -> None:
    kill_when(tmp_path, lambda: any(tmp_path.glob("artifacts/train_nnunet/*/checkpoints/*/last.ckpt")))
    assert not any(tmp_path.glob("artifacts/train_nnunet/*/manifest.json"))
    kill_when(tmp_path, lambda: any(tmp_path.glob("artifacts/nnunet_ensemble/*/*.records")))
    done = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_equal_weights(undisturbed, tmp_path)
    for stage in ("nnunet_single", "nnunet_ensemble", "evaluate"):
        assert results(undisturbed, stage) == results(tmp_path, stage), stage


def test_predictions_in_bfloat16_train_nothing_anew(tmp_path: Path, undisturbed: Path) -> None:
    """Nor does the Trainer's precision decide a prediction."""
    shutil.copytree(undisturbed / "artifacts", tmp_path / "artifacts")
    shutil.rmtree(tmp_path / "artifacts" / "nnunet_ensemble")
    summary = finish(tmp_path, "ensemble.precision=bf16-mixed")
    assert "bf16-mixed: nnunet_single, nnunet_ensemble" in summary["environment"]["precision"]
    assert_equal_weights(undisturbed, tmp_path)
    full, mixed = (stored(artifacts(outputs, "nnunet_ensemble")) for outputs in (undisturbed, tmp_path))
    for sample_id in stored_ids(full.folder):
        for kind, values in full.maps(sample_id).items():
            found = mixed.maps(sample_id)[kind]
            assert 0 < np.abs(found - values).mean() < 0.02, kind


def test_two_processes_predict_what_one_does(tmp_path: Path, undisturbed: Path) -> None:
    """The same training, so the same members; each process takes its share of the images."""
    for stage in ("weak_label", "train_nnunet"):
        shutil.copytree(undisturbed / "artifacts" / stage, tmp_path / "artifacts" / stage)
    summary = finish(
        tmp_path,
        "trainer=ddp",
        "trainer.accelerator=cpu",
        "batch_size.nnunet_single=1",
        "batch_size.nnunet_ensemble=1",
    )
    assert summary["timing"]["train_nnunet"]["cached"] == 1
    for stage in ("nnunet_single", "nnunet_ensemble", "evaluate"):
        assert results(undisturbed, stage) == results(tmp_path, stage), stage


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    """Each draws its half of every batch; checkpoints and figures are those of the whole."""
    summary = finish(tmp_path, *TRAINING, "trainer=ddp", "trainer.accelerator=cpu")
    assert summary["timing"]["train_nnunet"]["images"] == 1
    trained = weights(tmp_path)
    assert list(trained) == [
        f"fold_0/checkpoint_{name}.pth" for name in ("epoch_0000", "epoch_0001", "final")
    ]
    assert not any(name.startswith("module.") for name in trained["fold_0/checkpoint_final.pth"])
    again = finish(tmp_path / "again", *TRAINING, "trainer=ddp", "trainer.accelerator=cpu")
    assert again["keys"] == summary["keys"]
    assert_equal_weights(tmp_path, tmp_path / "again")


def test_classes_get_labels_and_masks_of_their_own(tmp_path: Path) -> None:
    chain = (
        "data=phantom_classes",
        "data.count=2",
        "data.modalities=[ultrasound]",
        "++train_data.seed=41",
        "stages=[weak_label,train_nnunet,nnunet_single,evaluate]",
        "nnunet.epochs=1",
        "nnunet.late_snapshots=1",
    )
    summary = finish(tmp_path, *chain)
    made = record(tmp_path, "weak_label")
    assert made["labels"]["background"] == 0
    assert sorted(made["labels"].values()) == list(range(len(made["labels"])))
    assert len(made["labels"]) > 2
    folder = artifacts(tmp_path, "weak_label") / made["raw"]
    labels = [np.asarray(Image.open(file)) for file in sorted(folder.glob("labelsTr/*.png"))]
    assert all(len(np.unique(label)) > 2 for label in labels), "every scan has two lesions"
    by_image: dict[str, list[Any]] = {}
    single = stored(artifacts(tmp_path, "nnunet_single"))
    for sample_id in stored_ids(single.folder):
        by_image.setdefault(sample_id.split("@")[0], []).append(single.mask(sample_id))
    assert len(by_image) == 2
    for name, masks in by_image.items():
        assert len(masks) >= 2, name
        assert np.sum(masks, axis=0).max() <= 1, f"masks of {name} overlap"
    assert summary["metrics"]["weak_single/dsc"]["n"] == len(by_image), "the classes of an image count once"
