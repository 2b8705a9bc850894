"""What the stage that calibrates an ensemble fits its numbers to."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.sim_calibration import draw_scan
from medsam_exp.nnunet.uncertainty.reliability import near_prediction
from medsam_exp.nnunet.uncertainty.temperature import fit_temperature
from medsam_exp.stages.calibrate_ensemble import run
from medsam_exp.types import Mask, UserError

NEAR_PX = 4


def calibrated(scans: list[tuple[np.ndarray, Mask]]) -> dict[str, Any]:
    """The record that the stage leaves of (probability, truth) of some images."""
    samples = [SimpleNamespace(id=number) for number in range(len(scans))]
    other = SimpleNamespace(
        dataset=SimpleNamespace(
            name="scans",
            split="val",
            samples=samples,
            has_ground_truth=True,
            read_ground_truth=lambda number: scans[number][1],
        ),
        artifacts={"nnunet_ensemble": SimpleNamespace(maps=lambda number: {"probability": scans[number][0]})},
    )
    found: dict[str, Any] = {}
    context: Any = SimpleNamespace(
        auxiliary=other,
        build=lambda group: {"uncertainty": {"bins": 15, "near_px": NEAR_PX}}[group],
        save=lambda _, record: found.update(record),
    )
    run(context)
    return found


def test_the_temperature_is_that_of_pixels_near_what_is_predicted() -> None:
    generator = np.random.default_rng(0)
    scans = [draw_scan(generator, 4) for _ in range(4)]
    record = calibrated(scans)
    regions = [near_prediction(p, NEAR_PX) for p, _ in scans]
    pixels = [(p[inside], y[inside]) for (p, y), inside in zip(scans, regions, strict=True)]
    assert max(len(p) for p, _ in pixels) < 20_000
    expected = fit_temperature(*map(np.concatenate, zip(*pixels, strict=True)))
    assert record["temperature"] == pytest.approx(expected)
    low, high = record["temperature_ci95"]
    assert low < expected < high


def test_a_target_far_from_what_is_predicted_changes_no_temperature_but_the_threshold_knows() -> None:
    generator = np.random.default_rng(1)
    scans = [draw_scan(generator, 4) for _ in range(4)]
    moved = [(p, y | ~near_prediction(p, NEAR_PX)) for p, y in scans]
    assert calibrated(moved)["temperature"] == calibrated(scans)["temperature"]
    assert calibrated(moved)["dsc"] < calibrated(scans)["dsc"]


def test_an_image_in_which_nothing_is_predicted_counts_as_a_whole() -> None:
    probability, truth = np.full((20, 20), 1e-3), np.zeros((20, 20), bool)
    truth[:4, :5] = True
    assert calibrated([(probability, truth)] * 3)["temperature"] > 2


def test_images_without_a_target_choose_nothing() -> None:
    scans = [(np.full((8, 8), 0.6), np.zeros((8, 8), bool))] * 2
    with pytest.raises(UserError, match=r"no image of calibration_data \(scans, val\) shows a target"):
        calibrated(scans)
