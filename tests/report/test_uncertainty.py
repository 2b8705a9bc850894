"""Pictures of uncertainty: what they say, their frame, and cases that have little to show."""

import io
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from medsam_exp.nnunet.uncertainty.quality import correlations, risk_coverage
from medsam_exp.report.figures.style import MOST_POINTS, save_png
from medsam_exp.report.figures.uncertainty import (
    reliability_figure,
    risk_coverage_figure,
    uncertainty_scatter,
)
from medsam_exp.report.figures.uncertainty_panel import uncertainty_panel
from tests.nnunet.uncertainty.bins import reliability

pytestmark = pytest.mark.filterwarnings("error")


def disc(row: int, column: int, radius: int, height: int = 60, width: int = 80) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


@pytest.fixture
def case() -> dict[str, Any]:
    y, x = np.mgrid[:60, :80]
    return {
        "sample_id": "scan_07",
        "image": np.full((60, 80, 3), 90, np.uint8),
        "ground_truth": disc(30, 40, 14),
        "mask": disc(30, 44, 14),
        "single_mask": disc(30, 48, 14),
        "maps": {
            "entropy": np.exp(-((np.hypot(y - 30, x - 44) - 14) ** 2) / 4).astype(np.float32) * 0.69,
            "mutual_information": np.exp(-((np.hypot(y - 30, x - 44) - 14) ** 2) / 4) * 0.08,
        },
        "scores": {"expected_dsc": 0.91, "entropy_boundary": 0.456, "entropy_inside": 0.2},
        "dsc": 0.8125,
    }


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def legends(figure: Figure) -> list[str]:
    found = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [text.get_text() for legend in found for text in legend.texts]


def ticks(figure: Figure) -> list[list[str]]:
    """Labels of the colour bars."""
    bars = [child for axes in figure.axes for child in axes.child_axes]
    return [[label.get_text() for label in bar.get_xticklabels()] for bar in bars]


def drawn(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def test_panel_says_everything(case: dict[str, Any]) -> None:
    figure = uncertainty_panel(**case)
    assert titles(figure) == [
        "Masks",
        "Entropy (nats)",
        "Mutual information (nats)",
        "Where the mask is wrong (px)",
    ]
    for said in ("scan_07", "DSC 0.812", "expected DSC 0.910", "boundary entropy 0.456"):
        assert said in texts(figure)
    extra = np.count_nonzero(case["mask"] & ~case["ground_truth"])
    missed = np.count_nonzero(case["ground_truth"] & ~case["mask"])
    assert legends(figure) == [
        "ensemble",
        "last checkpoint",
        "ground truth",
        f"false positive {extra}",
        f"false negative {missed}",
    ]
    assert matplotlib.pyplot.get_fignums() == []


def test_entropy_has_a_fixed_scale_and_mutual_information_its_own(case: dict[str, Any]) -> None:
    assert ticks(uncertainty_panel(**case)) == [["0", "0.35", "ln 2"], ["0", "0.04", "0.08"]]
    case["maps"] = {name: values / 10 for name, values in case["maps"].items()}
    assert ticks(uncertainty_panel(**case)) == [["0", "0.35", "ln 2"], ["0", "0.004", "0.008"]]


def test_panels_share_one_frame(case: dict[str, Any]) -> None:
    shown = [axes for axes in uncertainty_panel(**case).axes if axes.get_title()]
    assert {axes.get_xlim() for axes in shown} == {(-0.5, 79.5)}
    assert {axes.get_ylim() for axes in shown} == {(59.5, -0.5)}
    for axes in shown:
        assert all(tuple(image.get_extent()) == (-0.5, 79.5, 59.5, -0.5) for image in axes.images)


def small(case: dict[str, Any], row: int, column: int) -> dict[str, Any]:
    """The same case as a small part of a large image; its pixel (0, 0) comes to (row, column)."""

    def placed(part: np.ndarray) -> np.ndarray:
        large = np.zeros((300, 400, *part.shape[2:]), part.dtype)
        large[row : row + 60, column : column + 80] = part
        return large

    case |= {name: placed(case[name]) for name in ("image", "ground_truth", "mask", "single_mask")}
    case["maps"] = {name: placed(values) for name, values in case["maps"].items()}
    return case


@pytest.mark.parametrize(("row", "column"), [(100, 200), (0, 0), (240, 320)])
def test_a_small_object_is_shown_larger(case: dict[str, Any], row: int, column: int) -> None:
    figure = uncertainty_panel(**small(case, row, column))
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert titles(figure)[0] == "Image"
    assert shown[0].get_xlim() == (-0.5, 399.5)
    assert {axes.get_xlim() for axes in shown[1:]} == {shown[1].get_xlim()}
    assert {axes.get_ylim() for axes in shown[1:]} == {shown[1].get_ylim()}
    (left, right), (bottom, top) = shown[1].get_xlim(), shown[1].get_ylim()
    rows, columns = np.nonzero(case["mask"] | case["single_mask"] | case["ground_truth"])
    assert -0.5 <= left < columns.min() < columns.max() < right <= 399.5
    assert -0.5 <= top < rows.min() < rows.max() < bottom <= 299.5
    assert (right - left) / (bottom - top) == pytest.approx(400 / 300, rel=0.02)
    assert right - left < 150
    frame = shown[0].patches[0].get_bbox().extents
    np.testing.assert_allclose(frame, [left, top, right, bottom])


def test_doubt_far_from_the_mask_is_not_cut_off(case: dict[str, Any]) -> None:
    case = small(case, 100, 200)
    case["maps"]["entropy"][290, 5] = 0.6
    assert titles(uncertainty_panel(**case))[0] == "Masks"


def test_errors_lie_where_they_are(case: dict[str, Any]) -> None:
    wrong = uncertainty_panel(**case).axes[3].images[1:]
    areas = [~np.ma.getmaskarray(image.get_array()) for image in wrong]
    np.testing.assert_array_equal(areas[0], case["mask"] & ~case["ground_truth"])
    np.testing.assert_array_equal(areas[1], case["ground_truth"] & ~case["mask"])


def test_without_truth_nothing_is_said_of_it(case: dict[str, Any]) -> None:
    case |= {"ground_truth": None, "single_mask": None, "dsc": None}
    figure = uncertainty_panel(**case)
    assert titles(figure) == ["Masks", "Entropy (nats)", "Mutual information (nats)"]
    assert legends(figure) == ["ensemble"]
    assert "DSC 0.8" not in texts(figure)


def test_same_case_same_bytes(case: dict[str, Any], tmp_path: Path) -> None:
    for name in "ab":
        save_png(uncertainty_panel(**case), tmp_path / name)
    case["mask"] = ~case["mask"]
    save_png(uncertainty_panel(**case), tmp_path / "c")
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (300, 20), (20, 300)])
@pytest.mark.parametrize("full", [False, True])
def test_any_shape_empty_or_full(shape: tuple[int, int], full: bool) -> None:
    mask, flat = np.full(shape, full), np.zeros(shape, np.float32)
    maps = {"entropy": flat, "mutual_information": flat}
    image = np.zeros((*shape, 3), np.uint8)
    figure = uncertainty_panel("s", image, ~mask, mask, mask, maps, {}, 0.0)
    height, width = drawn(figure).shape[:2]
    assert 0.2 < height / width < 0.7
    assert len(ticks(figure)) == 1  # an empty scale has no bar
    assert "0 everywhere" in [text.get_text() for axes in figure.axes for text in axes.texts]
    assert ("ensemble (empty)" in legends(figure)) != full


def test_names_are_shown_as_written_and_cut(case: dict[str, Any]) -> None:
    case["sample_id"] = "cost_$x_{" + "long" * 100
    figure = uncertainty_panel(**case)
    drawn(figure)
    assert "cost_$x_{" in texts(figure)
    assert len(texts(figure)) < 250


def test_curves_come_in_the_order_of_their_area() -> None:
    generator = np.random.default_rng(0)
    risk = generator.uniform(size=40)
    scores = {"bad": -risk, "entropy_boundary": risk + generator.normal(size=40) / 5, "some other": risk}
    curves = {name: risk_coverage(values, risk) for name, values in scores.items()}
    oracle = risk_coverage(risk, risk)
    figure = risk_coverage_figure(curves, oracle)
    drawn(figure)
    found = legends(figure)
    assert found[0] == f"keep at random  {risk.mean():.3f}"
    names = ["some other", "mean entropy along the boundary", "bad", "best possible order"]
    assert [label.rsplit("  ", 1)[0] for label in found[1:]] == names
    areas = [float(label.rsplit("  ", 1)[1]) for label in found[1:-1]]
    assert areas == sorted(areas)
    assert found[-1].endswith(f"{oracle[1].mean():.3f}")
    assert "n = 40" in figure.axes[0].get_xlabel()


def test_many_scores_are_told_apart() -> None:
    risk = np.linspace(0, 1, 12)
    curves = {f"score {i}": risk_coverage(np.roll(risk, i), risk) for i in range(12)}
    lines = risk_coverage_figure(curves, risk_coverage(risk, risk)).axes[0].lines[1:-1]
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == 12


@pytest.mark.parametrize("risk", [[0.4], [0.0], [0.0, 0.0], [1.0, 1.0]])
def test_curves_of_hardly_anything(risk: list[float]) -> None:
    curve = risk_coverage(risk, risk)
    drawn(risk_coverage_figure({"a": curve}, curve))
    drawn(risk_coverage_figure({}, curve))


def test_reliability_before_and_after() -> None:
    p = np.random.default_rng(0).uniform(size=500)
    truth = np.random.default_rng(1).uniform(size=500) < p
    before, after = reliability(p, truth), reliability(np.sqrt(p), truth, bins=5)
    figure = reliability_figure(before, after, "pixels near the object")
    drawn(figure)
    assert figure.axes[0].get_title(loc="left") == "Calibration, pixels near the object"
    assert [label.split(":")[0] for label in legends(figure)] == ["as predicted", "after temperature scaling"]
    for label, bins in zip(legends(figure), (before, after), strict=True):
        assert f"ECE {bins.ece():.3f}, NLL {bins.nll():.3f}" in label
    line = figure.axes[0].lines[1]
    np.testing.assert_allclose(
        line.get_xydata(), np.stack([before.curve().confidence, before.curve().frequency], 1)
    )
    heights = [patch.get_data().values for patch in figure.axes[1].patches]
    assert [len(values) for values in heights] == [15, 5]
    assert [values.sum() for values in heights] == [500, 500]
    alone = reliability_figure(before)
    assert legends(alone) == [f"ECE {before.ece():.3f}, NLL {before.nll():.3f}"]
    assert len(alone.axes[1].patches) == 1


def test_bars_stand_on_their_own_bin() -> None:
    figure = reliability_figure(reliability(np.array([0.6, 0.6, 0.99]), np.array([True, False, True])))
    assert figure.axes[1].patches[0].get_data().values.tolist() == [*[0] * 9, 2, *[0] * 4, 1]


@pytest.mark.parametrize("p", [np.zeros(0), np.zeros(9), np.ones(9)])
def test_reliability_of_hardly_anything(p: np.ndarray) -> None:
    bins = reliability(p, p > 0.5)
    drawn(reliability_figure(bins))
    drawn(reliability_figure(bins, bins))


def test_scatter_shows_every_image_and_the_coefficients() -> None:
    score, dsc = np.linspace(0.2, 0.9, 12), np.linspace(0.9, 0.1, 12) ** 2
    found = correlations(score, dsc)
    figure = uncertainty_scatter(score, dsc, "entropy_inside", found)
    drawn(figure)
    np.testing.assert_allclose(figure.axes[0].collections[0].get_offsets(), np.stack([score, dsc], 1))
    assert figure.axes[0].get_xlabel() == "mean entropy in the mask"
    said = figure.axes[0].get_title(loc="left")
    assert said.startswith("n = 12\nPearson −0.9")
    assert "Spearman −1.00 [−1.00, −1.00]" in said
    assert not figure.axes[0].lines


def test_expected_dsc_is_compared_with_the_diagonal() -> None:
    assert len(uncertainty_scatter([0.5, 0.7], [0.4, 0.9], "expected_dsc").axes[0].lines) == 1


def test_of_many_images_one_in_so_many_is_drawn() -> None:
    score = np.linspace(0, 1, 2 * MOST_POINTS + 1)
    axes = uncertainty_scatter(score, score, "expected_dsc").axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets()[:, 0], score[::3])
    assert axes.get_title(loc="left") == f"n = {len(score)}, one in 3 drawn"


@pytest.mark.parametrize("values", [[], [0.4], [0.4, 0.4, 0.4]])
def test_scatter_of_hardly_anything(values: list[float]) -> None:
    figure = uncertainty_scatter(values, values, "a", correlations(values, values))
    drawn(figure)
    said = figure.axes[0].get_title(loc="left")
    assert said == f"n = {len(values)}\nPearson not defined\nSpearman not defined"
