"""What the report says of a temperature and of the pixels that it is of."""

from typing import Any

import pytest

from medsam_exp.report.topics.uncertainty import _calibration_hint, _uncertainty_sentences

CHOSEN = {"data": "phantom", "split": "val", "images": 6, "threshold": 0.37, "dsc": 0.77, "dsc_at_half": 0.75}


@pytest.mark.parametrize(
    ("temperature", "interval", "said"),
    [
        (1.2, [1.1, 1.3], "The temperature 1.20 [1.10, 1.30] was fitted"),
        (1.2, [1.1, 1.3], "probabilities were too sure"),
        (1.2, [0.9, 1.6], "as sure as they should be, as far as these images tell"),
        (0.8, [0.7, 0.9], "not sure enough"),
        (1.2, None, "too sure"),
        (0.8, None, "not sure enough"),
        (1.0, None, "as sure as"),
    ],
)
def test_what_a_temperature_means(temperature: float, interval: list[float] | None, said: str) -> None:
    chosen = CHOSEN | {"temperature": temperature, "temperature_ci95": interval}
    facts: dict[str, Any] = {"members": 9, "threshold": 0.37, "several_classes": False, "chosen": chosen}
    assert said in " ".join(_uncertainty_sentences(facts))


def test_which_pixels_the_calibration_is_of() -> None:
    said = _calibration_hint({"calibration": {"pixels": 12345}, "near_px": 10})
    assert "12 345 pixels up to 10 px from where the predicted probability reaches 0.05" in said
