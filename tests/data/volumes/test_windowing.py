import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from medsam_exp.data.volumes.windowing import (
    CT_WINDOWS,
    Window,
    WindowLevel,
    parse_window_level,
    percentile_window,
    to_bytes,
)
from medsam_exp.types import UserError

VALUES = np.arange(-300, 301, dtype=np.int16)


def by_the_standard(x: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1 as it is written there, for ymin 0 and ymax 1."""
    if x <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if x > center - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (center - 0.5)) / (width - 1) + 0.5


@pytest.mark.parametrize(("center", "width"), [(40, 400), (0, 2), (-20.5, 33), (10, 1), (7, 250.5)])
def test_linear_is_the_standards_formula(center: float, width: float) -> None:
    expected = [by_the_standard(x, center, width) for x in VALUES.tolist()] if width > 1 else None
    if expected is None:
        expected = [float(x > center - 0.5) for x in VALUES.tolist()]
    np.testing.assert_allclose(Window(center, width)(VALUES), expected, atol=1e-12)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(40, 400), (-20, 33), (100, 7)])
def test_pydicom_shows_the_same(function: str, center: float, width: float) -> None:
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored, dataset.PixelRepresentation = "MONOCHROME2", 12, 1
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    theirs = apply_windowing(VALUES, dataset)  # from the lowest to the highest value of 12 bits
    expected = (theirs + 2048) / 4095
    np.testing.assert_allclose(Window(center, width, function)(VALUES), expected, atol=2e-4)


def test_bytes_and_inversion() -> None:
    gray = np.array([0.0, 0.5, 1.0, np.nan])
    assert to_bytes(gray, inverted=False).tolist() == [0, 128, 255, 0]
    assert to_bytes(gray, inverted=True).tolist() == [255, 127, 0, 255]


def test_percentiles_ignore_what_is_not_finite_and_survive_flat_scans() -> None:
    values = np.r_[np.arange(101.0), np.nan, np.inf]
    window = percentile_window(values, 10, 90)
    assert (window.center, window.width) == (50, 80)
    assert window(np.array([10.0, 90.0])).tolist() == [0, 1]
    mostly_empty = np.r_[np.zeros(1000), 7.0]
    assert percentile_window(mostly_empty, 1, 99)(np.array([0.0, 7.0])).tolist() == [0, 1]
    assert set(percentile_window(np.full(5, 3.0), 0, 100)(np.full(5, 3.0))) == {0.5}
    with pytest.raises(UserError, match="no finite number"):
        percentile_window(np.full(3, np.nan), 0, 100)


@pytest.mark.parametrize(
    ("window", "percentiles", "sentence"),
    [
        (["liver"], None, "--window is liver: give lung, soft_tissue, brain, bone, or CENTER WIDTH"),
        (["40", "x"], None, "--window is 40 x"),
        (["40", "0"], None, "give a width of at least 1"),
        (None, [90.0, 10.0], "--percentiles is 90 10"),
        (["lung"], [1.0, 99.0], "both given"),
    ],
)
def test_looks_that_make_no_sense(window, percentiles, sentence) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_window_level(window, percentiles)


def test_named_windows_are_for_ct() -> None:
    assert parse_window_level(["lung"], None).window_of(VALUES, "CT", "x") == CT_WINDOWS["lung"]
    assert parse_window_level(["40", "80"], None).window_of(VALUES, "MR", "x") == CT_WINDOWS["brain"]
    with pytest.raises(UserError, match="head is MR, and the window lung is one for CT"):
        parse_window_level(["lung"], None).window_of(VALUES, "MR", "head")
    assert WindowLevel().window_of(VALUES, "CT", "x") == CT_WINDOWS["soft_tissue"]
    assert WindowLevel().window_of(VALUES, "MR", "x") == percentile_window(VALUES, 0.5, 99.5)
