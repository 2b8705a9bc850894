"""Which images are trained and calibrated on."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from medsam_exp.config.auxiliary_images import auxiliary_config, auxiliary_data, auxiliary_problems
from medsam_exp.config.schema import check
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.types import UserError
from tests.compose import composed

WEAK = "+experiment=phantom_weak"


def test_other_images_are_the_datas_own_with_changed_values() -> None:
    cfg = composed("data=phantom", "+train_data.seed=5", "+train_data.count=7")
    other = auxiliary_data(cfg, "train_data")
    changed = {"seed": 5, "count": 7, "split": "train"}  # the split by default
    assert dict(other) == {**cfg.data, **changed}


def test_a_dataset_of_its_own_is_taken_as_it_is() -> None:
    own = {"_target_": "medsam_exp.data.phantom.dataset.PhantomDataset", "seed": 9, "count": 3}
    cfg = composed("~train_data.split", *(f"+train_data.{key}={value}" for key, value in own.items()))
    assert dict(auxiliary_data(cfg, "train_data")) == own


def test_labels_from_elsewhere_need_no_zero_shot_stages() -> None:
    cfg = composed(WEAK)
    assert auxiliary_config(cfg, "weak_label")[1] == ["saliency", "coarse_mask", "sam_mask"]
    assert auxiliary_config(cfg, "reference_label")[1] == []


def test_calibrating_trains_on_the_same_images_as_the_run() -> None:
    cfg = composed(WEAK)
    changed, stages = auxiliary_config(cfg, "calibrate_ensemble")
    assert stages == ["weak_label", "train_nnunet", "nnunet_ensemble"]
    assert changed.data.seed == cfg.calibration_data.seed
    inner, _ = auxiliary_config(changed, "weak_label")
    assert inner.data == auxiliary_config(cfg, "weak_label")[0].data


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("label_stages=[saliency]", "label_stages makes no masks"),
        ("label_stages=[saliency,masks]", "label_stages names 'masks'; masks of training images are made by"),
        ("label_stages=[saliency,coarse_mask,evaluate]", "label_stages names 'evaluate'"),
        ("label_stages=[sam_mask]", "label_stages: 'sam_mask' needs 'saliency' before it"),
        (
            "weak_label=folder weak_label.root=masks label_ignore=unsure",
            "label_ignore looks at the probabilities of an earlier round's network, which masks of weak_label=folder "
            "do not have: take label_ignore=none, or weak_label=all with label_stages that end with nnunet_single or ",
        ),
        (
            "weak_label=folder weak_label.root=masks label_weight=predicted_iou",
            "label_weight looks at the IoU that SAM expects, which masks of weak_label=folder do not have: take "
            "label_weight=equal, or weak_label=all with label_stages that end with sam_mask",
        ),
        (
            "weak_label=folder weak_label.root=masks label_weight=agreement",
            "take label_weight=equal, weak_label.second=FOLDER, or weak_label=all with label_stages with coarse_mask",
        ),
        (
            "weak_label=ground_truth label_ignore=disagreement",
            "which masks of weak_label=ground_truth do not have",
        ),
        (
            "label_ignore=unsure",
            "which masks of sam_mask do not have: take label_ignore=none, or label_stages that end with nnunet_single",
        ),
        (
            "label_stages=[saliency,coarse_mask,sam_mask,nnunet_single] ensemble.results=x label_weight=predicted_iou",
            "which masks of nnunet_single do not have",
        ),
        (
            "label_stages=[nnunet_single] ensemble.results=x label_ignore=disagreement",
            "label_stages with coarse_mask",
        ),
        ("nnunet_schedule=cyclic_poly nnunet.cycles=7", "epochs=40 cannot be cut into 7 equal cycles"),
        ("nnunet.cycles=4", "the schedule poly has one"),
        ("+trainer.limit_train_batches=1", "trainer.limit_train_batches has no effect on a training"),
        (
            "stages=[weak_label,nnunet_ensemble,train_nnunet]",
            "'train_nnunet' must stand before 'nnunet_ensemble'",
        ),
        (
            "stages=[weak_label,train_nnunet,nnunet_ensemble,calibrate_ensemble]",
            "'calibrate_ensemble' must stand before 'nnunet_ensemble'",
        ),
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
        check(composed(WEAK, *override.split()))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "weak_label=folder weak_label.root=masks weak_label.second=others label_ignore=disagreement",
        "label_ignore=disagreement label_weight=predicted_iou",
        "label_stages=[nnunet_ensemble] ensemble.results=x label_ignore=unsure",
        "weak_label=ground_truth label_ignore=border",
        "stages=[reference_label] label_ignore=unsure",
    ],
)
def test_labels_may_be_trusted_by_what_is_known_of_their_masks(override: str) -> None:
    assert list(auxiliary_problems(composed(WEAK, *override.split()))) == []


class Mistyped:
    """A choice of a user's own."""

    needs = "probabillity"


def test_a_choice_that_needs_what_nothing_gives_is_refused() -> None:
    own = f"label_ignore._target_={Mistyped.__module__}.Mistyped"
    (said,) = auxiliary_problems(composed(WEAK, own))
    assert said == (
        f"label_ignore._target_={Mistyped.__module__}.Mistyped has needs='probabillity', which nothing gives of a "
        "mask: set it to coarse_mask or iou_predictions or presence or probability"
    )


LABELS = ("weak_label", "train_nnunet", "reference_label")
ENSEMBLE = ("weak_label", "train_nnunet", "calibrate_ensemble", "nnunet_ensemble", "uncertainty")


def label_keys(tmp_path: Path, *overrides: str, stages: Sequence[str] = LABELS) -> dict[str, str]:
    """Keys of the stages that make labels and train on them, or of others."""
    small = ("data.count=2", "train_data.count=6", "calibration_data.count=2", f"paths.outputs={tmp_path}")
    cfg = check(composed(WEAK, *small, *overrides))
    plan = Plan(cfg, list(stages), None, {}, FileDigests(None))
    return {name: artifacts.key for name, artifacts in plan.artifacts.items()}


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("text=description", {"weak_label", "train_nnunet"}),
        ("train_data.seed=33", {"weak_label", "train_nnunet", "reference_label"}),
        ("seed=1", {"weak_label", "train_nnunet"}),
        ("weak_label=confident", {"weak_label", "train_nnunet"}),
        ("postprocess=otsu", {"weak_label", "train_nnunet"}),
        ("nnunet.epochs=41", {"train_nnunet"}),
        ("nnunet_schedule.exponent=0.8", {"train_nnunet"}),
        ("trainer.precision=bf16-mixed", {"weak_label", "train_nnunet"}),
        ("nnunet.disk_limit_gb=7", set()),
        ("workers=3", set()),
        ("data.seed=4", set()),
    ],
)
def test_labels_and_training_are_made_anew_when_what_decides_them_changes(
    override: str, changed: set[str], tmp_path: Path
) -> None:
    before, after = label_keys(tmp_path), label_keys(tmp_path, override)
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("uncertainty.bins=7", {"uncertainty"}),
        ("ensemble.precision=bf16-mixed", {"calibrate_ensemble", "nnunet_ensemble", "uncertainty"}),
        ("uncertainty.near_px=5", {"calibrate_ensemble", "nnunet_ensemble", "uncertainty"}),
    ],
)
def test_predictions_are_made_anew_when_what_decides_them_changes(
    override: str, changed: set[str], tmp_path: Path
) -> None:
    before, after = (label_keys(tmp_path, *some, stages=ENSEMBLE) for some in ((), (override,)))
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_test_split_calibrates_nothing(tmp_path) -> None:
    for part in ("images", "masks"):
        (tmp_path / f"test_{part}").mkdir()
    cfg = composed(
        "data=folder", f"data.root={tmp_path}", "data.split=other", "calibration_data.split=test",
        "stages=[weak_label,train_nnunet,calibrate_ensemble]",
    )  # fmt: skip
    with pytest.raises(UserError, match="calibration_data is a test split"):
        check(cfg)


@pytest.mark.parametrize("stage", ["stability", "calibrate_ensemble"])
def test_labels_of_other_images_are_made_by_the_network_that_the_run_trains(stage: str) -> None:
    stages = [
        "finetune_clip",
        "weak_label",
        "train_nnunet",
        "calibrate_ensemble",
        "nnunet_ensemble",
        "stability",
    ]
    cfg = composed(WEAK, f"stages=[{','.join(stages)}]")
    run, _ = auxiliary_config(cfg, "weak_label")
    again, names = auxiliary_config(cfg, stage)
    assert names[0] == "finetune_clip"
    assert auxiliary_config(again, "weak_label")[1] == list(run.stages)


def test_changed_images_leave_those_that_calibrate_as_they_are() -> None:
    cfg = composed(WEAK, "stages=[weak_label,train_nnunet,calibrate_ensemble,nnunet_ensemble,stability]")
    again, _ = auxiliary_config(cfg, "stability")
    assert auxiliary_data(again, "calibration_data") == auxiliary_data(cfg, "calibration_data")
    assert again.data != cfg.data
