"""The calibrated probability against scikit-learn's, its file, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from medsam_exp.masks.presence.calibrated import Calibrated
from medsam_exp.masks.presence.calibration import (
    Calibration,
    feature_table,
    fit_logistic,
    out_of_fold,
    read_calibration,
)
from medsam_exp.masks.presence.features import FEATURES
from medsam_exp.stages.calibrate import _refuse_too_few
from medsam_exp.types import UserError

NAMES = ("match", "over_absence")


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    present = np.arange(60) % 2 == 0
    values = generator.normal(size=(60, 2)) * (1, 30) + np.where(present[:, None], (1, 20), (0, 0))
    return values, present


def calibration(values: np.ndarray, present: np.ndarray, **changes: object) -> Calibration:
    made = {"split": "val", "data": "scans", "images": 60}
    return Calibration(
        **{
            "features": NAMES,
            **fit_logistic(values, present, 0.5),
            "absence_texts": ("normal scan",),
            "nonsense_texts": ("a chair",),
            "network": "abc",
            "provenance": made,
            **changes,
        }
    )


def test_the_probability_is_that_of_scikit_learn(data) -> None:
    values, present = data
    standard = (values - values.mean(0)) / values.std(0)
    expected = LogisticRegression(C=2.0).fit(standard, present).predict_proba(standard)[:, 1]
    made = calibration(values, present)
    found = [made.probability(dict(zip(NAMES, row, strict=True))) for row in values.tolist()]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_extreme_features_overflow_nothing(data) -> None:
    made = calibration(*data)
    with np.errstate(all="raise", under="ignore"):
        assert made.probability({"match": 1e6, "over_absence": 0.0}) == pytest.approx(1)
        assert made.probability({"match": -1e6, "over_absence": 0.0}) == pytest.approx(0)


def test_the_file_gives_the_same_calibration_back(data, tmp_path: Path) -> None:
    made = calibration(*data)
    made.write(tmp_path / "c.json")
    assert read_calibration(tmp_path / "c.json") == made
    scorer = Calibrated(str(tmp_path / "c.json"))
    features = {"match": 0.3, "over_absence": 5.0}
    assert scorer(features) == made.probability(features)
    assert scorer.calibrated_on == "60 images of scans (val)"


def test_another_networks_calibration_is_refused(data, tmp_path: Path) -> None:
    calibration(*data).write(tmp_path / "c.json")
    scorer = Calibrated(str(tmp_path / "c.json"))
    scorer.check_network("abc")
    with pytest.raises(UserError, match="calibrated for the CLIP weights abc, but this run has xyz"):
        scorer.check_network("xyz")


@pytest.mark.parametrize("content", ["{", "[]", '{"weights": [1]}', "\x00"])
def test_a_file_that_is_no_calibration_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(UserError, match=r"is no calibration|cannot be read as JSON"):
        Calibrated(str(tmp_path / "c.json"))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"presence\.file=/no/such\.json is not a file"):
        Calibrated("/no/such.json")


def test_the_packaged_calibration_says_where_it_comes_from() -> None:
    from medsam_exp.masks.presence.calibrated import PACKAGED

    made = json.loads(PACKAGED.read_text())
    assert made["provenance"]["split"] == "seed 101"
    assert made["provenance"]["data"] == "phantom_calibration"
    assert made["provenance"]["clip"] == "tiny"
    assert 0 < made["provenance"]["with_target"] < made["provenance"]["images"]


def test_out_of_fold_is_by_a_regression_that_has_not_seen_the_image(data) -> None:
    values, present = data
    unseen = out_of_fold(values, present, 1.0, 5, seed=0)
    assert np.array_equal(out_of_fold(values, present, 1.0, 5, seed=0), unseen)
    marker = np.eye(60)  # a feature of its own for every image: only one that was seen can be told
    assert np.ptp(out_of_fold(marker, present, 1e-6, 5, seed=0)) < 0.01
    assert unseen[present].mean() > unseen[~present].mean() + 0.2


def test_unknown_features_are_refused() -> None:
    with pytest.raises(UserError, match=r"calibration.features has .'mach'.; choose from match"):
        feature_table([dict.fromkeys(FEATURES, 0.0)], ["match", "mach"])
    with pytest.raises(UserError, match="has nothing"):
        feature_table([dict.fromkeys(FEATURES, 0.0)], [])


def test_out_of_fold_has_not_seen_the_patient_either(data) -> None:
    """A feature of its own for every patient of three images tells nothing of images of other patients."""
    present = np.repeat(data[1][::3], 3)
    patients = [f"p{number // 3}" for number in range(60)]
    marker = np.eye(20).repeat(3, axis=0)
    unseen = out_of_fold(marker, present, 1e-6, 5, 0, patients)
    assert np.ptp(unseen) < 0.2
    assert np.ptp(out_of_fold(marker, present, 1e-6, 5, 0)) > 0.5


def test_patients_that_cannot_be_divided_are_refused(data) -> None:
    """Two patients have the target, but the folds even out images, so both come into one of them."""
    present = np.repeat([True, True, False, False], [99, 1, 50, 50])
    patients = ["a"] * 99 + ["b"] * 51 + ["c"] * 50
    with pytest.raises(UserError, match=r"lower calibration\.folds or give more patients"):
        out_of_fold(np.zeros((200, 1)), present, 1.0, 2, 0, patients)


@pytest.mark.parametrize(
    ("patients", "present", "counts"),
    [
        ([f"p{n // 10}" for n in range(30)], np.arange(30) % 2 == 0, "patients.* 3 and 3"),
        (["p"] * 10 + [f"q{n}" for n in range(20)], np.arange(30) < 10, "patients.* 1 and 20"),
        ([f"q{n}" for n in range(30)], np.arange(30) < 4, "images.* 4 and 26"),
        (None, np.arange(30) < 4, "images.* 4 and 26"),
    ],
)
def test_too_few_patients_for_the_folds_are_refused(patients, present, counts: str) -> None:
    with pytest.raises(
        UserError, match=rf"calibration\.folds=5 {counts}: lower calibration\.folds or give more"
    ):
        _refuse_too_few(present, 5, patients)
    _refuse_too_few(present, 1, patients)
