"""Training curves: read from the tracker's file, drawn panel by panel, put into the report."""

import csv
import itertools
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medsam_exp.report.figures.training import _PANELS, _read_trainings, _training_figure, draw_trainings
from medsam_exp.report.page import write_report
from medsam_exp.report.pictures import save_pictures
from medsam_exp.report.section import FigureFile

CLIP_TITLES = [
    "Loss",
    "Retrieval top-1, validation (%)",
    "Temperature",
    "Embedding spread (cosine distance)",
    "Learning rate",
    "Images per second",
]
SAM_TITLES = ["Loss", "DSC by prompt, validation", "Learning rate", "Images per second"]


def clip_rows(steps: int = 12, per_epoch: int = 4) -> list[dict[str, Any]]:
    """As Lightning's CSV logger leaves them: several rows per step, each with its own columns."""
    rows: list[dict[str, Any]] = []
    for step in range(steps):
        rows.append({"step": step, "train/images_per_second": 50 + step})
        rows.append(
            {
                "step": step,
                "epoch": step // per_epoch,
                "train/loss": 5 - step / 10,
                "train/temperature": 0.07,
                "train/image_spread": 0.2,
                "train/text_spread": 0.4,
                "train/learning_rate": 1e-4,
            }
        )
        if (step + 1) % per_epoch == 0:
            found = {"val/top1_image_to_text": step / 100, "val/top1_text_to_image": 0.5}
            rows.append({"step": step, "val/loss": 6 - step / 10, **found})
    return rows


def sam_rows(steps: int = 3) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in range(steps):
        rows.append({"step": step, "train/loss": 1.0, "train/learning_rate": 1e-3})
        rows.append({"step": step, "train/images_per_second": 9.0})
    losses = {"val/loss_box": 1.0, "val/loss_points": 2.0, "val/loss_both": 6.0}
    return [
        *rows,
        {"step": steps - 1, **losses, "val/dsc_box": 0.5, "val/dsc_points": 0.4, "val/dsc_both": 0.6},
    ]


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / "curves" / "metrics.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, sorted({key for row in rows for key in row}))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return written


def training_figures(path: Path, folder: Path) -> list[FigureFile]:
    return save_pictures(draw_trainings(path), folder, folder / "artifacts", {})


def figure_of(path: Path) -> Figure:
    (training,) = _read_trainings(path)
    return _training_figure(training.rows)


def panel(figure: Figure, title: str) -> Axes:
    (found,) = (axes for axes in figure.axes if axes.get_title(loc="left") == title)
    return found


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def points(axes: Axes, number: int = 0) -> list[tuple[float, float]]:
    return [tuple(point) for point in axes.lines[number].get_xydata()]  # type: ignore[union-attr]


def test_one_panel_per_quantity(write: Any) -> None:
    assert titles(figure_of(write(clip_rows()))) == CLIP_TITLES
    assert titles(figure_of(write(sam_rows()))) == SAM_TITLES
    assert {*CLIP_TITLES, *SAM_TITLES, "Pseudo-Dice, validation"} == {panel.title for panel in _PANELS}


def test_curves_go_through_what_was_recorded_with_steps_from_one(write: Any) -> None:
    figure = figure_of(write(clip_rows()))
    loss = panel(figure, "Loss")
    assert points(loss, 0) == [(step + 1, pytest.approx(5 - step / 10)) for step in range(12)]
    assert points(loss, 1) == [(step + 1, pytest.approx(6 - step / 10)) for step in (3, 7, 11)]
    assert [text.get_text() for text in loss.get_legend().texts] == ["training", "validation"]
    retrieval = panel(figure, "Retrieval top-1, validation (%)")
    assert points(retrieval, 0) == [(4, pytest.approx(3)), (8, pytest.approx(7)), (12, pytest.approx(11))]
    assert points(retrieval, 1) == [(4, 50), (8, 50), (12, 50)]


def test_validation_loss_of_a_sam_is_the_mean_over_prompts_as_that_of_training(write: Any) -> None:
    assert points(panel(figure_of(write(sam_rows())), "Loss"), 1) == [(3, 3.0)]


@pytest.mark.parametrize("worthless", ["", "nan", "inf", "-inf", "none"])
def test_worthless_values_are_left_out(write: Any, worthless: str) -> None:
    rows = clip_rows()
    rows[1]["train/loss"] = worthless
    for row in rows:
        if "train/temperature" in row:
            row["train/temperature"] = worthless
    figure = figure_of(write(rows))
    assert "Temperature" not in titles(figure)
    assert [step for step, _ in points(panel(figure, "Loss"))] == list(range(2, 13))


def test_a_line_that_was_cut_off_does_no_harm(write: Any) -> None:
    path = write(clip_rows())
    path.write_bytes(path.read_bytes()[:-25])
    assert titles(figure_of(path)) == CLIP_TITLES


def test_figures_of_other_stages_are_no_training(write: Any, tmp_path: Path) -> None:
    other = {"step": 1, "retrieval/top1_image_to_text": 0.5}
    assert training_figures(write([other]), tmp_path / "figures") == []
    (training,) = _read_trainings(write([*clip_rows(), other]))
    rows = training.rows
    assert len(rows) == len(clip_rows())


def test_two_trainings_of_a_run_get_a_picture_each(write: Any, tmp_path: Path) -> None:
    path = write([*clip_rows(), *sam_rows()])
    assert [len(training.rows) for training in _read_trainings(path)] == [len(clip_rows()), len(sam_rows())]
    pictures = training_figures(path, tmp_path / "figures")
    assert [picture.path.name for picture in pictures] == ["training.png", "training_2.png"]
    assert "partner" in pictures[0].caption
    assert "partner" not in pictures[1].caption


def test_a_resumed_training_begins_where_it_was_resumed(write: Any) -> None:
    rows = [row for row in clip_rows() if row["step"] >= 8]
    assert [step for step, _ in points(panel(figure_of(write(rows)), "Loss"))] == [9, 10, 11, 12]


def test_nothing_is_drawn_and_nothing_removed_without_curves(tmp_path: Path, write: Any) -> None:
    folder = tmp_path / "figures"
    assert training_figures(tmp_path / "no.csv", folder) == []
    assert not folder.exists()
    folder.mkdir()
    (folder / "training.png").write_bytes(b"old")
    empty = tmp_path / "empty.csv"
    empty.touch()
    assert training_figures(empty, folder) == []
    assert (folder / "training.png").read_bytes() == b"old"
    stepless = tmp_path / "stepless.csv"
    stepless.write_text("train/loss\n0.5\n")
    assert training_figures(stepless, folder) == []


def test_same_curves_same_bytes(write: Any, tmp_path: Path) -> None:
    path = write(clip_rows())
    (_, one, _), (_, two, _) = (training_figures(path, tmp_path / name)[0] for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_the_report_shows_them_under_their_own_heading(
    write: Any, tmp_path: Path, summary: dict[str, Any], pictures: Any
) -> None:
    drawn = training_figures(write(clip_rows()), tmp_path / "figures")
    report = tmp_path / "report.html"
    write_report(report, title="run", summary=summary, rows=[], figures=[*drawn, *pictures])
    html = report.read_text()
    assert html.count("<h2>Training</h2>") == 1
    assert html.index("<h2>Training</h2>") < html.index("<h2>Best cases</h2>")
    assert "near 0 all embeddings are alike" in html


def _extreme() -> list[dict[str, Any]]:
    rows = clip_rows()
    for row in rows:
        if "train/loss" in row:
            changed = {"train/loss": 123456.7 + row["step"], "train/learning_rate": 1.2345e-9}
            row.update({**changed, "train/image_spread": -1e-8, "train/text_spread": -2e-8})
    return rows


@pytest.mark.parametrize(
    "rows",
    [clip_rows(), clip_rows(3000, 300), clip_rows(1, 1), sam_rows(), _extreme()],
    ids=["short", "long", "one step", "sam", "extreme"],
)
def test_no_text_covers_another_and_none_is_cut_off(write: Any, rows: list[dict[str, Any]]) -> None:
    figure = figure_of(write(rows))
    figure.draw_without_rendering()
    frame = figure.bbox
    boxes = []
    for axes in figure.axes:
        texts = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.get_offset_text()]  # type: ignore[attr-defined]
        legend = axes.get_legend()
        texts += legend.texts if legend else []
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            assert low < high
            ticks = axis.get_major_ticks()
            texts += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
        boxes += [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    assert len(boxes) > 10
    for name, box in boxes:
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1, name
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1, name
    for (one, left), (two, right) in itertools.combinations(boxes, 2):
        assert not left.overlaps(right), (one, two)


def named(rows: list[dict[str, Any]], training: str) -> list[dict[str, Any]]:
    return [
        {key if key in ("step", "epoch") else f"{training}/{key}": value for key, value in row.items()}
        for row in rows
    ]


def nnunet_rows(dice: float, steps: int = 4) -> list[dict[str, Any]]:
    rows = [{"step": step, "train/loss": 1.0, "train/learning_rate": 0.01} for step in range(steps)]
    return [*rows, {"step": steps - 1, "epoch": 0, "val/loss": 0.5, "val/pseudo_dice": dice}]


def test_named_trainings_are_never_one_line(write: Any, tmp_path: Path) -> None:
    """Even where the second one's steps go on after those of the first."""
    later = [{**row, "step": row["step"] + 4} for row in nnunet_rows(0.75)]
    path = write([*named(nnunet_rows(0.25), "weak/fold_0"), *named(later, "reference/fold_all")])
    trainings = _read_trainings(path)
    assert [training.name for training in trainings] == ["weak/fold_0", "reference/fold_all"]
    for training, step, dice in zip(trainings, (4, 8), (0.25, 0.75), strict=True):
        figure = _training_figure(training.rows)
        assert points(panel(figure, "Pseudo-Dice, validation")) == [(step, dice)]
    captions = [caption for caption, *_ in training_figures(path, tmp_path / "figures")]
    assert "nnU-Net on weak labels, fold 0." in captions[0]
    assert "nnU-Net on the reference's labels, fold all." in captions[1]
    assert all("no score of masks" in caption for caption in captions)
