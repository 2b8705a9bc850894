import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from medsam_exp.report.figures import panels
from medsam_exp.report.figures.canvas import Canvas
from medsam_exp.report.figures.distribution import distribution_figure, distribution_picture
from medsam_exp.report.figures.overlay import ImageResult, overlay_figure, overlay_picture
from medsam_exp.report.figures.style import MOST_POINTS, pixels_of, save_png
from medsam_exp.report.png_file import DOTS_PER_INCH, save_pixels

NOTHING = {"saliency_map": None, "coarse_mask": None, "prompts": None, "mask": None, "ground_truth": None}


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_panels_that_share_an_image_show_it_as_matplotlib_does(case: ImageResult) -> None:
    def row(*, plain: bool) -> Figure:
        figure, row = panels.row(case.image.shape, 3, 0.5, 0.5)
        resampled: panels.Resampled = {}
        for axes in row:
            panels.draw_image(axes, case.image, "Image", resampled)
            if plain:
                axes.images[0].remove()
                axes.imshow(case.image)
        return figure

    assert np.array_equal(pixels_of(row(plain=True)), pixels_of(row(plain=False)))


@pytest.mark.parametrize("draw", [overlay_figure, lambda _: distribution_figure([])])
def test_a_pictures_pixels_are_those_that_matplotlib_writes(case: ImageResult, draw: Any) -> None:
    buffer = io.BytesIO()
    draw(case).savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    assert np.array_equal(pixels_of(draw(case)), Image.open(buffer).convert("RGB"))


@pytest.mark.parametrize("text", ["", "a bright round lesion", "very long " * 100])
def test_a_picture_of_remembered_panels_looks_as_the_whole_figure_does(case: ImageResult, text: str) -> None:
    """Up to rounding of what lies between two dots; each of the cases has panels in common with another one."""
    empty = np.zeros_like(case.mask)
    others = (
        replace(case, text=text),
        replace(case, text=text, mask=~case.mask, scores={"dsc": 0.1}),
        replace(case, text=text, coarse_mask=empty, prompts=None, ground_truth=None),
        replace(case, text=text, image=255 - case.image, nnunet_masks={"weak": case.mask}, scored="weak"),
        replace(case, text=text, **NOTHING),
    )
    for other in others:
        whole = np.asarray(pixels_of(overlay_figure(other))).astype(int)
        picture = np.asarray(overlay_picture(other)).astype(int)
        assert picture.shape == whole.shape
        lowest, highest = minimum_filter(whole, (3, 3, 1)), maximum_filter(whole, (3, 3, 1))
        assert ((picture < lowest - 4) | (picture > highest + 4)).mean() < 1e-4
        assert np.array_equal(overlay_picture(other), picture)


@pytest.mark.parametrize("shape", [(1, 1), (300, 20), (20, 300), (216, 216)])
def test_a_panel_of_any_shape_has_its_title_and_legend_where_the_whole_figure_has_them(
    shape: tuple[int, int],
) -> None:
    mask = np.zeros(shape, bool)
    mask[shape[0] // 4 : 1 + shape[0] // 2] = True
    grey = np.full((*shape, 3), 90, np.uint8)
    result = ImageResult("scan", "a lesion", grey, mask.astype(np.float32), mask, mask=mask)
    whole = np.asarray(pixels_of(overlay_figure(result))).astype(int)
    picture = np.asarray(overlay_picture(result)).astype(int)
    lowest, highest = minimum_filter(whole, (3, 3, 1)), maximum_filter(whole, (3, 3, 1))
    assert ((picture < lowest - 4) | (picture > highest + 4)).mean() < 1e-4


def test_a_canvas_keeps_nothing_of_the_picture_before(case: ImageResult) -> None:
    figure, (axes,) = panels.row(case.image.shape, 1, 0.3, 0.3)
    empty = np.asarray(pixels_of(figure))
    canvas = Canvas(figure)

    def picture(image: Any, mask: Any) -> Any:
        def draw() -> None:
            panels.draw_image(axes, image)
            panels.draw_outline(axes, mask, panels.SAM)

        return canvas.pixels(draw)

    first = picture(case.image, case.mask)
    other = picture(255 - case.image, ~case.mask)
    assert not np.array_equal(first, other)
    assert np.array_equal(first, picture(case.image, case.mask))
    assert np.array_equal(canvas.pixels(lambda: None), empty)
    assert np.array_equal(canvas.pixels(lambda: canvas.blank // 2), empty // 2)


@pytest.mark.parametrize("shape", [(216, 216), (240, 240), (288, 240), (40, 56)])
def test_a_picture_is_as_large_as_the_whole_figure(shape: tuple[int, int]) -> None:
    """Inches times dots are 665.9999999999999 rows for the first of them."""
    result = ImageResult("scan", "word " * 30, np.zeros((*shape, 3), np.uint8), mask=np.zeros(shape, bool))
    assert overlay_picture(result).size == pixels_of(overlay_figure(result)).size


def test_panels_that_pictures_have_in_common_are_drawn_once(
    case: ImageResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[bytes] = []
    draw = panels.draw_image
    monkeypatch.setattr(
        panels, "draw_image", lambda axes, image, **own: (drawn.append(image), draw(axes, image, **own))
    )
    first = replace(case, image=case.image // 2 + 3)
    overlay_picture(first)
    overlay_picture(replace(first, sample_id="another", scores={}, mask=~case.mask))
    assert len(drawn) == 4 + 1


def test_same_case_same_bytes(case: ImageResult, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_png(overlay_figure(case), tmp_path / f"{name}.png")
    save_png(overlay_figure(replace(case, mask=~case.mask)), tmp_path / "c.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_png_says_nothing_of_program_or_date(case: ImageResult, tmp_path: Path) -> None:
    save_png(overlay_figure(case), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert set(picture.info) <= {"dpi"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (30, 41)])
def test_what_is_written_is_what_is_read(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    buffer = io.BytesIO()
    save_pixels(Image.fromarray(pixels), buffer)
    with Image.open(buffer) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        assert picture.info["dpi"] == pytest.approx((DOTS_PER_INCH, DOTS_PER_INCH), rel=1e-3)
        assert np.array_equal(picture, pixels)


def test_no_figure_stays_behind(case: ImageResult) -> None:
    overlay_figure(case)
    assert matplotlib.pyplot.get_fignums() == []


def test_all_panels_of_a_whole_case(case: ImageResult) -> None:
    figure = overlay_figure(case)
    assert titles(figure) == ["Image", "Saliency map", "Coarse mask and prompts", "SAM mask and ground truth"]
    for said in (case.sample_id, case.text, "DSC 0.900", "IoU 0.820", "NSD 0.700"):
        assert said in texts(figure)


def test_all_panels_share_one_frame(case: ImageResult) -> None:
    panels = [axes for axes in overlay_figure(case).axes if axes.get_title()]
    assert {axes.get_xlim() for axes in panels} == {(-0.5, 79.5)}
    assert {axes.get_ylim() for axes in panels} == {(59.5, -0.5)}
    assert len({round(axes.get_position().width, 6) for axes in panels}) == 1


@pytest.mark.parametrize(
    ("absent", "expected"),
    [
        (NOTHING, ["Image"]),
        ({"ground_truth": None}, ["Image", "Saliency map", "Coarse mask and prompts", "SAM mask"]),
        (
            {"mask": None, "prompts": None},
            ["Image", "Saliency map", "Coarse mask", "Coarse mask and ground truth"],
        ),
        ({**NOTHING, "ground_truth": np.ones((60, 80), bool)}, ["Image", "Ground truth"]),
        ({"mask": None, "prompts": None, "ground_truth": None}, ["Image", "Saliency map", "Coarse mask"]),
    ],
)
def test_parts_that_are_absent_are_left_out(
    case: ImageResult, absent: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    figure = overlay_figure(replace(case, **absent, scores={}))
    assert titles(figure) == expected
    assert "DSC" not in texts(figure)
    save_png(figure, tmp_path / "a.png")


@pytest.mark.filterwarnings("error::UserWarning")
def test_empty_masks_are_drawn_without_complaint(case: ImageResult, tmp_path: Path) -> None:
    empty = np.zeros_like(case.mask)
    figure = overlay_figure(
        replace(case, mask=empty, coarse_mask=empty, saliency_map=empty.astype(np.float32))
    )
    save_png(figure, tmp_path / "a.png")
    legends = [
        text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().texts
    ]
    assert {"coarse mask (empty)", "SAM mask (empty)", "ground truth"} <= set(legends)


@pytest.mark.parametrize("shape", [(1, 1), (300, 20), (20, 300)])
def test_any_shape(shape: tuple[int, int], tmp_path: Path) -> None:
    case = ImageResult(
        "s", "t", np.zeros((*shape, 3), np.uint8), np.ones(shape, np.float32), mask=np.ones(shape, bool)
    )
    save_png(overlay_figure(case), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert 0.2 < picture.height / picture.width < 1.1


def test_texts_are_shown_as_written_and_cut_when_long(case: ImageResult, tmp_path: Path) -> None:
    figure = overlay_figure(replace(case, text="cost $x_{ " + "very long " * 200, sample_id="i" * 300))
    save_png(figure, tmp_path / "a.png")
    assert "cost $x_{" in texts(figure)
    assert "…" in texts(figure)
    assert len(texts(figure)) < 600


def test_outline_has_the_colour_of_its_stage(case: ImageResult) -> None:
    """Orange of the SAM mask is on the picture, on dark tissue and on bright."""
    for level in (0, 255):
        image = np.full_like(case.image, level)
        buffer = io.BytesIO()
        overlay_figure(replace(case, image=image, ground_truth=None, scores={})).savefig(buffer)
        pixels = np.asarray(Image.open(buffer).convert("RGB")).astype(int)
        panel = pixels[: int(0.85 * len(pixels)), int(0.76 * pixels.shape[1]) :]
        near_orange = np.abs(panel - [0xE6, 0x9F, 0x00]).max(axis=2) < 12
        assert near_orange.sum() > 300


def test_distribution_counts_images_by_stage(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    figure = distribution_figure(rows)
    save_png(figure, tmp_path / "a.png")
    save_png(distribution_figure(rows), tmp_path / "b.png")
    assert titles(figure) == ["DSC", "IoU", "NSD"]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["Coarse mask\nn = 3", "SAM mask\nn = 3"]
    drawn = np.sort(figure.axes[0].collections[0].get_offsets()[:, 1])
    np.testing.assert_allclose(drawn, [0.5, 0.6, 0.7])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_distribution_of_many_images_draws_evenly_many_of_the_sorted_scores() -> None:
    scores = np.random.default_rng(0).permutation(np.linspace(0, 1, 4 * MOST_POINTS + 1))
    figure = distribution_figure(
        [{"id": str(score), "stage": "sam", "dsc": float(score)} for score in scores]
    )
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        f"SAM mask\nn = {len(scores)}, {MOST_POINTS} drawn"
    ]
    drawn = np.sort(figure.axes[0].collections[0].get_offsets()[:, 1])
    np.testing.assert_allclose(drawn, np.linspace(0, 1, MOST_POINTS), atol=1 / len(scores))


@pytest.mark.parametrize("score", [0.1, 0.9])
def test_the_picture_of_a_distribution_is_that_of_its_figure(
    rows: list[dict[str, Any]], score: float
) -> None:
    """Also where only the scores differ from those before."""
    for shown in (rows, [{**row, "dsc": score} for row in rows], rows[:3], []):
        assert np.array_equal(distribution_picture(shown), pixels_of(distribution_figure(shown)))


def test_boxes_are_those_of_matplotlib() -> None:
    scores = [0.02, 0.5, 0.52, 0.55, 0.6, 0.61, 0.7, 0.98]
    figure = distribution_figure([{"id": str(score), "stage": "sam", "dsc": score} for score in scores])
    own = np.concatenate([line for lines in figure.axes[0].collections[1:] for line in lines.get_segments()])
    axes = Figure().add_subplot()
    drawn = axes.boxplot([scores], positions=[0], widths=0.5, showfliers=False, manage_ticks=False)
    theirs = np.concatenate([line.get_xydata() for lines in drawn.values() for line in lines])
    assert {tuple(point) for point in own.round(6)} == {tuple(point) for point in theirs.round(6)}


def test_distribution_without_scores(tmp_path: Path) -> None:
    save_png(distribution_figure([{"id": "a", "stage": "sam"}]), tmp_path / "a.png")


def test_nnunets_masks_have_a_panel_of_their_own_and_the_scores_a_name(case: ImageResult) -> None:
    assert case.mask is not None
    assert "SAM mask" not in texts(overlay_figure(case))
    masks = {"weak": case.mask, "reference": ~case.mask, "weak_single": case.mask}
    figure = overlay_figure(replace(case, nnunet_masks=masks, scored="weak"))
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in shown[-2:]] == [
        "SAM mask and ground truth",
        "nnU-Net and ground truth",
    ]
    legend = shown[-1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["ensemble", "reference", "ground truth"]
    assert "nnU-Net, ensemble:  DSC 0.900" in texts(figure)
    alone = overlay_figure(
        replace(case, mask=None, ground_truth=None, nnunet_masks={"weak_single": case.mask})
    )
    assert [axes.get_title() for axes in alone.axes if axes.get_title()][-1] == "nnU-Net"


def test_many_stages_stand_in_the_order_of_the_pipeline(rows: list[dict[str, Any]]) -> None:
    more = [
        {**row, "stage": stage} for stage in ("reference", "weak") for row in rows if row["stage"] == "sam"
    ]
    labels = [label.get_text() for label in distribution_figure([*rows, *more]).axes[0].get_xticklabels()]
    assert [label.splitlines()[0] for label in labels] == [
        "Coarse mask",
        "SAM mask",
        "nnU-Net, ensemble",
        "Reference, ensemble",
    ]
