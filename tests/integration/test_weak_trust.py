"""Whole runs whose labels are not all trusted: unknown pixels, weights of images, a second round."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.config.schema import check
from medsam_exp.data.decoding import decode
from medsam_exp.types import UserError
from tests.compose import composed
from tests.stored import stored
from tests.weak_chain import CHAIN, TRAINING, artifacts, finish, record

pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")

ZERO_SHOT = ("weak_label=all", "stages=[weak_label,train_nnunet,nnunet_single,evaluate]")


def labels_of(outputs: Path) -> dict[str, np.ndarray]:
    """Label maps by case, of the only set of labels."""
    raw = artifacts(outputs, "weak_label") / record(outputs, "weak_label")["raw"]
    return {file.stem: decode(file).values for file in sorted((raw / "labelsTr").glob("*.png"))}


def dataset_json(outputs: Path) -> dict[str, int]:
    raw = artifacts(outputs, "weak_label") / record(outputs, "weak_label")["raw"]
    return json.loads((raw / "dataset.json").read_text())["labels"]


def test_unknown_pixels_and_weights_from_zero_shot_masks_to_scores(tmp_path: Path) -> None:
    summary = finish(tmp_path, *ZERO_SHOT, "label_ignore=disagreement", "label_weight=agreement")
    made = record(tmp_path, "weak_label")
    assert dataset_json(tmp_path) == {"background": 0, "target": 1, "ignore": 2}
    assert made["labels"] == {"background": 0, "target": 1}
    labels = labels_of(tmp_path)
    unknown = np.mean([(label == 2).mean() for label in labels.values()])
    assert made["unknown"] == pytest.approx(unknown)
    assert unknown > 0
    assert set(made["weights"]) == set(made["kept"])
    assert 0 < summary["weak_labels"]["weak_label"]["least_weight"] < 1
    assert summary["metrics"]["weak_single/dsc"]["n"] == 3


def test_a_reference_learns_from_every_pixel(tmp_path: Path) -> None:
    finish(tmp_path, "label_ignore=border", "stages=[weak_label,reference_label]", "weak_label=ground_truth")
    assert "ignore" in dataset_json(tmp_path)
    assert record(tmp_path, "weak_label")["unknown"] > 0
    assert record(tmp_path, "reference_label")["unknown"] == 0


def test_a_second_round_learns_from_the_first_ones_masks(tmp_path: Path) -> None:
    first = finish(tmp_path / "first", *TRAINING)["weak_labels"]["weak_label"]["results"]
    given = (f"ensemble.results={first}", "ensemble.checkpoints=checkpoint_epoch_*.pth")
    predicted = ("++data.seed=31", "++data.count=6", "++data.split=train", "stages=[nnunet_ensemble]")
    finish(tmp_path / "predicted", *given, *predicted)
    masks = stored(artifacts(tmp_path / "predicted", "nnunet_ensemble"))
    second = ("weak_label=all", "label_stages=[nnunet_ensemble]", *given)
    summary = finish(tmp_path / "second", *second, "label_ignore=unsure", "label_ignore.lower=0.4")
    made = record(tmp_path / "second", "weak_label")
    assert made["source"] == summary["weak_labels"]["weak_label"]["source"] == "earlier_network"
    raw = artifacts(tmp_path / "second", "weak_label") / made["raw"]
    by_case = json.loads((raw / "cases.json").read_text())
    assert len(by_case) + len(made["dropped"]) == 6
    for case, label in labels_of(tmp_path / "second").items():
        probability = masks.maps(by_case[case])["probability"]
        unsure = (probability > 0.4) & (probability < 0.7)
        np.testing.assert_array_equal(label, np.where(unsure, 2, masks.mask(by_case[case])))
    assert summary["weak_labels"]["weak_label"]["results"] != first
    assert {"weak", "weak_single"} <= {name.split("/")[0] for name in summary["metrics"]}
    finish(tmp_path / "labels", *second, "stages=[weak_label]")
    learnt = json.loads((artifacts(tmp_path / "labels", "weak_label") / "learnt_from.json").read_text())
    assert {each["group"] for each in learnt} == {"", "ensemble"}, (
        "what the first network had seen is remembered"
    )


def test_two_folders_of_which_one_image_is_unknown(tmp_path: Path) -> None:
    from medsam_exp.data.phantom.dataset import PhantomDataset

    scans = PhantomDataset(seed=31, count=6, pair_fraction=0.4)
    for number, sample in enumerate(scans.samples):
        mask = scans.read_ground_truth(sample.id)
        for name, drawn in {"one": mask, "two": mask | True if number == 0 else mask}.items():
            (tmp_path / name).mkdir(exist_ok=True)
            drawn = np.zeros_like(mask) if number == 0 and name == "one" else drawn
            Image.fromarray(drawn.astype(np.uint8) * 255).save(tmp_path / name / f"{sample.id}.png")
    folders = (
        "weak_label=folder",
        f"weak_label.root={tmp_path / 'one'}",
        f"weak_label.second={tmp_path / 'two'}",
    )
    finish(tmp_path / "out", *folders, "label_ignore=disagreement", "stages=[weak_label]")
    made = record(tmp_path / "out", "weak_label")
    assert made["dropped"] == {scans.samples[0].id: "no pixel's label is known"}
    assert len(made["kept"]) == 5


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("weak_label=all", "label_stages=[nnunet_ensemble]"), "give its folder as ensemble.results=FOLDER"),
        (("ensemble.results=x",), "ensemble.results is a network trained elsewhere"),
    ],
)
def test_a_second_round_needs_the_first_ones_network(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(composed(*CHAIN, *overrides))
