"""From masks to label maps with unknown pixels and weights, of one and of several classes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.nnunet.label_ignore.border import Border
from medsam_exp.nnunet.label_ignore.disagreement import Disagreement
from medsam_exp.nnunet.label_ignore.none import NothingUnknown
from medsam_exp.nnunet.label_weight.agreement import Agreement
from medsam_exp.nnunet.label_weight.equal import EqualWeight
from medsam_exp.nnunet.label_weight.predicted_iou import PredictedIoU
from medsam_exp.nnunet.raw_dataset import Case
from medsam_exp.nnunet.weak_label.all import AllMasks
from medsam_exp.nnunet.weak_label.compose import foreground_classes, labels_with_ignore
from medsam_exp.nnunet.weak_label.folder import FolderMasks
from medsam_exp.stages.weak_label import _cases, _folder, _Made, _Trust, _zero_shot
from medsam_exp.types import Sample, UserError

SIZE = (16, 20)


def disc(row: int, column: int, radius: float) -> np.ndarray:
    rows, columns = np.indices(SIZE)
    return np.hypot(rows - row, columns - column) <= radius


def other_images(samples: list[Sample]) -> Any:
    """Images of one size, as the stage gets them."""
    dataset = SimpleNamespace(
        name="scans",
        split="train",
        samples=samples,
        label_names=[sample.class_name for sample in samples],
        read_image=lambda _: np.zeros((*SIZE, 3), np.uint8),
    )
    return SimpleNamespace(dataset=dataset, artifacts={})


def write(folder: Path, masks: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    for name, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}.png")
    return folder


def made_of(other: Any, policy: FolderMasks, ignore: Any, weight: Any) -> tuple[dict[str, Case], _Made]:
    classes = foreground_classes(other.dataset.label_names)
    value = labels_with_ignore(classes)["ignore"] if ignore.marks else None
    made = _Made()
    cases = _cases(other.dataset, _folder(policy, other, classes), _Trust(ignore, weight, value), made)
    return {case.id: case for case in cases}, made


def test_pixels_of_which_two_masks_disagree_are_unknown_and_the_weight_is_their_agreement(
    tmp_path: Path,
) -> None:
    one = {"a": disc(8, 8, 4), "b": disc(8, 8, 4), "c": np.zeros(SIZE, bool)}
    two = {"a": disc(8, 10, 4), "b": disc(8, 8, 4), "c": np.ones(SIZE, bool)}
    policy = FolderMasks(str(write(tmp_path / "one", one)), str(write(tmp_path / "two", two)))
    other = other_images([Sample(name) for name in one])
    cases, made = made_of(other, policy, Disagreement(), Agreement(0.05))
    assert made.dropped == {"c": "no pixel's label is known"}
    assert list(cases) == list(made.weights) == ["a", "b"]
    wanted = np.where(one["a"] == two["a"], one["a"], 2)
    np.testing.assert_array_equal(cases["a"].label, wanted)
    np.testing.assert_array_equal(cases["b"].label, one["b"])
    assert made.unknown == {"a": np.mean(wanted == 2), "b": 0.0}
    common, both = (one["a"] & two["a"]).sum(), one["a"].sum() + two["a"].sum()
    assert made.weights == {"a": pytest.approx(2 * common / both), "b": 1.0}


def test_of_several_classes_each_border_is_unknown_and_the_least_trusted_class_decides(
    tmp_path: Path,
) -> None:
    benign, malignant = disc(5, 5, 3), disc(10, 14, 4)
    samples = [Sample(f"scan@{name}", image_id="scan", class_name=name) for name in ("benign", "malignant")]
    first = {"scan@benign": benign, "scan@malignant": malignant}
    second = {"scan@benign": benign, "scan@malignant": np.zeros(SIZE, bool)}
    policy = FolderMasks(str(write(tmp_path / "one", first)), str(write(tmp_path / "two", second)))
    cases, made = made_of(other_images(samples), policy, Border(0.1), Agreement(0.05))
    from tests.nnunet.weak_label.candidates import candidate

    bands = [Border(0.1)(candidate(mask)) for mask in (benign, malignant)]
    wanted = np.select([bands[0] | bands[1], benign, malignant], [3, 1, 2], 0)
    np.testing.assert_array_equal(cases["scan"].label, wanted)
    assert set(np.unique(wanted)) == {0, 1, 2, 3}
    assert made.weights == {"scan": 0.05}


def test_without_unknown_pixels_labels_and_weights_are_as_before(tmp_path: Path) -> None:
    masks = {"a": disc(8, 8, 4), "b": np.zeros(SIZE, bool), "c": np.ones(SIZE, bool)}
    policy = FolderMasks(str(write(tmp_path / "one", masks)))
    cases, made = made_of(
        other_images([Sample(name) for name in masks]), policy, NothingUnknown(), EqualWeight()
    )
    for name, mask in masks.items():
        np.testing.assert_array_equal(cases[name].label, mask)
    assert made == _Made({}, dict.fromkeys(masks, 0.0), dict.fromkeys(masks, 1.0))


def test_labels_of_which_nothing_is_known_are_refused(tmp_path: Path) -> None:
    one, two = {"a": np.zeros(SIZE, bool)}, {"a": np.ones(SIZE, bool)}
    policy = FolderMasks(str(write(tmp_path / "one", one)), str(write(tmp_path / "two", two)))
    said = r"all 1 labels of scans \(train\) were dropped, the first \(a\) because no pixel's label is known"
    with pytest.raises(UserError, match=said):
        made_of(other_images([Sample("a")]), policy, Disagreement(), EqualWeight())


def test_a_mask_that_the_second_folder_lacks_is_named(tmp_path: Path) -> None:
    one = {"a": disc(8, 8, 4), "b": disc(8, 8, 4)}
    policy = FolderMasks(str(write(tmp_path / "one", one)), str(write(tmp_path / "two", {"a": one["a"]})))
    with pytest.raises(UserError, match=r"weak_label.second=.*two: 1 of 2 images have no usable label"):
        made_of(other_images([Sample("a"), Sample("b")]), policy, Disagreement(), EqualWeight())


def made_by(stage: str, masks: dict[str, np.ndarray], expected: float) -> Any:
    """A stage's results; a network that was trained gives no IoU."""
    return SimpleNamespace(
        stage=stage,
        mask=masks.__getitem__,
        record=lambda _, kind: {"iou_predictions": [expected]},
        maps=lambda name: {"probability": np.where(masks[name], 0.6, 0.2)},
    )


def from_pipeline(other: Any, ignore: Any, weight: Any) -> tuple[dict[str, Case], _Made]:
    classes = foreground_classes(other.dataset.label_names)
    value = labels_with_ignore(classes)["ignore"] if ignore.marks else None
    made = _Made()
    cases = _cases(other.dataset, _zero_shot(AllMasks(), other, classes), _Trust(ignore, weight, value), made)
    return {case.id: case for case in cases}, made


def test_a_scan_without_any_target_is_background_wherever_its_mask_lies() -> None:
    other = other_images([Sample("a", class_name="benign"), Sample("b")])
    other.dataset.label_names = ["benign", "malignant"]
    masks = {"a": disc(5, 5, 3), "b": disc(9, 9, 3)}
    other.artifacts = {"sam_mask": made_by("sam_mask", masks, expected=0.3)}
    cases, made = from_pipeline(other, Border(0.1), PredictedIoU(0.05))
    assert not cases["b"].label.any()
    assert made.unknown["b"] == 0
    assert made.weights == {"a": 0.3, "b": 1.0}


def test_what_sam_expects_is_no_weight_of_another_networks_mask() -> None:
    other = other_images([Sample("a")])
    masks = {"a": disc(5, 5, 3)}
    other.artifacts = {
        "sam_mask": made_by("sam_mask", {"a": disc(9, 9, 3)}, expected=0.3),
        "nnunet_ensemble": made_by("nnunet_ensemble", masks, expected=0.0),
    }
    cases, made = from_pipeline(other, NothingUnknown(), EqualWeight())
    np.testing.assert_array_equal(cases["a"].label, masks["a"])
    assert made.weights == {"a": 1.0}
    _, made = from_pipeline(other, NothingUnknown(), PredictedIoU(0.05))
    assert made.weights == {"a": 0.05}  # of no mask; a configuration that asks for this is refused before
