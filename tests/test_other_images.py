"""Which images are trained and calibrated on, and that they are never those that are scored."""

import pytest

from medsam_exp.config import check
from medsam_exp.other_images import other_data, other_images_config
from medsam_exp.types import UserError
from tests.compose import composed

WEAK = "+experiment=phantom_weak"


def test_other_images_are_the_datas_own_with_changed_values() -> None:
    cfg = composed("data=phantom", "+train_data.seed=5", "+train_data.count=7")
    other = other_data(cfg, "train_data")
    changed = {"seed": 5, "count": 7, "split": "train"}  # the split by default
    assert dict(other) == {**cfg.data, **changed}


def test_a_dataset_of_its_own_is_taken_as_it_is() -> None:
    own = {"_target_": "medsam_exp.data.phantom.dataset.PhantomDataset", "seed": 9, "count": 3}
    cfg = composed("~train_data.split", *(f"+train_data.{key}={value}" for key, value in own.items()))
    assert dict(other_data(cfg, "train_data")) == own


def test_labels_from_elsewhere_need_no_zero_shot_stages() -> None:
    cfg = composed(WEAK)
    assert other_images_config(cfg, "weak_label")[1] == ["saliency", "coarse_mask", "sam_mask"]
    assert other_images_config(cfg, "reference_label")[1] == []


def test_calibrating_trains_on_the_same_images_as_the_run() -> None:
    cfg = composed(WEAK)
    changed, stages = other_images_config(cfg, "calibrate_ensemble")
    assert stages == ["weak_label", "train_nnunet", "nnunet_ensemble"]
    assert changed.data.seed == cfg.calibration_data.seed
    inner, _ = other_images_config(changed, "weak_label")
    assert inner.data == other_images_config(cfg, "weak_label")[0].data


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train_data.seed=2", "train_data is phantom (seed 2), the very images that are scored"),
        ("calibration_data.seed=2", "calibration_data is phantom (seed 2), the very images that are scored"),
        ("label_stages=[saliency]", "label_stages makes no masks"),
        ("label_stages=[saliency,masks]", "label_stages names 'masks', which does not exist"),
        ("ensemble.results=/nowhere", "leave train_nnunet out"),
        (
            "stages=[nnunet_ensemble,evaluate]",
            "needs 'train_nnunet' before it in stages, or ensemble.results",
        ),
        ("stages=[saliency,reference_single]", "needs 'train_reference' before it"),
        ("stages=[train_nnunet]", "stage 'train_nnunet' needs 'weak_label' before it"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(override: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check(composed(WEAK, override))
    assert said in str(caught.value)


def test_a_test_split_calibrates_nothing(tmp_path) -> None:
    for part in ("images", "masks"):
        (tmp_path / f"test_{part}").mkdir()
    cfg = composed(
        "data=folder", f"data.root={tmp_path}", "data.split=other", "calibration_data.split=test",
        "stages=[weak_label,train_nnunet,calibrate_ensemble]",
    )  # fmt: skip
    with pytest.raises(UserError, match="calibration_data is a test split"):
        check(cfg)
