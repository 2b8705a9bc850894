import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from medsam_exp.metrics.summary import summarise
from medsam_exp.sweep.pivot import Layout, pivot
from medsam_exp.sweep.read import read_sweep
from medsam_exp.sweep.scores import known_measure, known_scores
from medsam_exp.sweep.sheets import pivot_sheet
from medsam_exp.types import UserError

from .conftest import IMAGES, make_run, make_sweep, score

DSC = known_measure("dsc")


def rewrite(folder: Path, change) -> None:
    """Change the rows of a run's per_image.csv."""
    path = folder / "per_image.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_every_figure_against_a_slow_reference(sweep_folder: Path) -> None:
    found = pivot(read_sweep([sweep_folder]), "sam", DSC)
    assert found.rows == [(s, p) for s in ("m2ib", "gradcam", "a_b&c%") for p in ("kmeans", "otsu")]
    by_image, raw = {}, {}
    for row in found.rows:
        values = dict(zip(("saliency", "postprocess"), row, strict=True))
        runs = [[score(seed, name, **values) for name in IMAGES] for seed in "012"]
        by_image[row] = [sum(own) / 3 for own in zip(*runs, strict=True)]
        entry = found.entries[row, ()]
        assert entry.score["ci95"] == pytest.approx(summarise(by_image[row])["ci95"])
        assert entry.score["mean"] == pytest.approx(np.mean(by_image[row]))
        assert entry.score["std"] == pytest.approx(np.std(by_image[row], ddof=1))
        assert entry.seed_std == pytest.approx(np.std([np.mean(own) for own in runs], ddof=1))
        assert (entry.score["n"], entry.seeds) == (8, 3)
        raw[row] = (
            wilcoxon(by_image[row], by_image["m2ib", "kmeans"]).pvalue if row != ("m2ib", "kmeans") else None
        )
    assert found.tests == 5
    ranked = sorted(p for p in raw.values() if p is not None)
    for row, p in raw.items():
        entry = found.entries[row, ()]
        if p is None:
            assert entry.reference
            assert entry.p is entry.comparison is None
            continue
        expected = max(min(1, (5 - rank) * other) for rank, other in enumerate(ranked) if other <= p)
        assert entry.p == pytest.approx(expected)
        difference = np.mean(by_image[row]) - np.mean(by_image["m2ib", "kmeans"])
        assert entry.comparison.difference == pytest.approx(difference)
    best = max(by_image, key=lambda row: np.mean(by_image[row]))
    assert [row for row in found.rows if found.entries[row, ()].best] == [best]


def test_order_of_jobs_and_images_does_not_matter(sweep_folder: Path) -> None:
    sweep = read_sweep([sweep_folder])
    before = pivot(sweep, "sam", DSC)
    for number in range(18):
        rewrite(sweep_folder / str(number), lambda rows: rows[::-1])
    after = read_sweep([sweep_folder])
    assert pivot(replace(after, jobs=after.jobs[::-1]), "sam", DSC) == before


def test_lower_is_better_marks_the_smallest(sweep_folder: Path) -> None:
    found = pivot(read_sweep([sweep_folder]), "sam", known_measure("hd95_px"))
    best = [entry for entry in found.entries.values() if entry.best]
    assert [entry.score["mean"] for entry in best] == [min(e.score["mean"] for e in found.entries.values())]


def test_equal_scores_are_both_best_and_not_different(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["x", "y"]})
    (folder / "1" / "per_image.csv").write_text((folder / "0" / "per_image.csv").read_text())
    first, second = pivot(read_sweep([folder]), "sam", DSC).entries.values()
    assert first.best
    assert second.best
    assert second.p == 1.0


def test_rounding_is_no_difference(tmp_path: Path) -> None:
    axes = {"saliency": ["x", "y"], "seed": ["0", "1", "2"]}
    folder = make_sweep(tmp_path / "s", axes, failed={5: "killed"})
    values = {name: 0.1 * (number + 1) for number, name in enumerate(IMAGES)}
    assert any(np.mean([value] * 3) != np.mean([value] * 2) for value in values.values())
    for number in range(5):
        rewrite(folder / str(number), lambda rows: [{**row, "dsc": values[row["id"]]} for row in rows])
    first, second = pivot(read_sweep([folder]), "sam", DSC).entries.values()
    assert (first.seeds, second.seeds) == (3, 2)
    assert (second.comparison.better, second.comparison.worse, second.p) == (0, 0, 1.0)
    assert (first.best, second.best) == (True, True)


def test_only_images_of_all_runs_are_compared_and_the_others_counted(sweep_folder: Path) -> None:
    rewrite(sweep_folder / "7", lambda rows: [row for row in rows if row["id"] != "scan_3"])
    rewrite(
        sweep_folder / "0",
        lambda rows: [{**row, "dsc": "nan" if row["id"] == "scan_5" else row["dsc"]} for row in rows],
    )
    found = pivot(read_sweep([sweep_folder]), "sam", DSC)
    assert {entry.score["n"] for entry in found.entries.values()} == {6}
    assert found.remarks == ("left out, as not every run has a score of them: 2 of 8 images",)
    kept = [name for name in IMAGES if name not in ("scan_3", "scan_5")]
    runs = [[score(s, name, saliency="gradcam", postprocess="otsu") for name in kept] for s in "012"]
    assert found.entries[("gradcam", "otsu"), ()].score["mean"] == pytest.approx(np.mean(runs))


def test_the_classes_of_an_image_are_no_images_of_their_own(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["m2ib", "x"]})
    asked = {
        name: f"{name[:-2]}_{int(name[-1]) // 2}" for name in IMAGES
    }  # two classes of each of four images
    for number in range(2):
        rewrite(folder / str(number), lambda rows: [{**row, "image_id": asked[row["id"]]} for row in rows])
    found = pivot(read_sweep([folder]), "sam", DSC)
    of_m2ib, of_x = (
        [np.mean([score("0", f"scan_{2 * n + k}", saliency=name) for k in range(2)]) for n in range(4)]
        for name in ("m2ib", "x")
    )
    entry = found.entries[("x",), ()]
    assert entry.score["ci95"] == pytest.approx(summarise(of_x)["ci95"])
    assert (entry.score["n"], entry.comparison.n) == (4, 4)
    assert entry.p == pytest.approx(wilcoxon(of_x, of_m2ib).pvalue)
    once = "an image that was asked for several classes counts once, by the mean of its scores"
    assert found.remarks == (once,)

    rewrite(
        folder / "0", lambda rows: [row for row in rows if row["id"] != "scan_3"]
    )  # scan_2 is left of its image
    rewrite(folder / "1", lambda rows: [{k: v for k, v in row.items() if k != "image_id"} for row in rows])
    found = pivot(read_sweep([folder]), "sam", DSC)
    assert found.entries[("x",), ()].score["n"] == 4
    left_out = "left out, as not every run has a score of them: 1 of 8 samples, each an image and a class"
    assert found.remarks == (left_out, once)


def test_columns_and_a_named_reference(sweep_folder: Path) -> None:
    sweep = read_sweep([sweep_folder])
    layout = Layout(rows=["saliency"], columns=["postprocess"], against={"saliency": "gradcam"})
    found = pivot(sweep, "sam", DSC, layout)
    assert (found.rows, found.columns) == ([("m2ib",), ("gradcam",), ("a_b&c%",)], [("kmeans",), ("otsu",)])
    assert [place for place, entry in found.entries.items() if entry.reference] == [
        (("gradcam",), ("kmeans",)),
        (("gradcam",), ("otsu",)),
    ]
    assert found.tests == 4
    for column in found.columns:  # each against its own column, the best of each column
        m2ib, gradcam = (found.entries[(name,), column] for name in ("m2ib", "gradcam"))
        assert m2ib.comparison.difference == pytest.approx(m2ib.score["mean"] - gradcam.score["mean"])
        assert m2ib.best
    flat = pivot(sweep, "sam", DSC, Layout(rows=["postprocess"]))
    assert flat.row_axes == ("postprocess", "saliency")  # nothing but seeds is averaged


def test_seeds_that_were_added_by_force_are_seeds_too(tmp_path: Path) -> None:
    found = [
        pivot(
            read_sweep([make_sweep(tmp_path / key, {"saliency": ["m2ib", "x"], key: ["0", "1"]})]), "sam", DSC
        )
        for key in ("+seed", "++seed")
    ]
    for made in found:
        assert made.row_axes == ("saliency",)
        assert {entry.seeds for entry in made.entries.values()} == {2}


def test_a_lost_seed_and_a_lost_row_are_said(tmp_path: Path) -> None:
    axes = {"saliency": ["m2ib", "gradcam", "x"], "seed": ["0", "1"]}
    folder = make_sweep(tmp_path / "s", axes, failed={0: "killed", 4: "killed", 5: "killed"})
    found = pivot(read_sweep([folder]), "sam", DSC)
    assert [(entry.row, entry.seeds) for entry in found.entries.values()] == [
        (("m2ib",), 1),
        (("gradcam",), 2),
    ]
    assert found.entries[("m2ib",), ()].seed_std is None
    assert found.remarks == ("without results: 3 of 6 jobs (0, 4, 5)",)


def test_datasets_are_not_mixed(tmp_path: Path) -> None:
    for number, (data, saliency) in enumerate([("busi", "m2ib"), ("busi", "x"), ("ct", "m2ib"), ("ct", "x")]):
        make_run(tmp_path / str(number), {"data": data, "saliency": saliency}, data=data)
        path = tmp_path / str(number) / ".hydra" / "config.yaml"
        path.write_text("seed: 0\n")
    found = pivot(read_sweep([tmp_path]), "sam", DSC, Layout(columns=["data"]))
    assert [entry.reference for entry in found.entries.values()] == [True, True, False, False]
    assert found.tests == 2
    assert "2 groups" in found.remarks[0]
    assert sum(entry.best for entry in found.entries.values()) == 2


def test_what_is_asked_for_must_be_there(sweep_folder: Path, tmp_path: Path) -> None:
    sweep = read_sweep([sweep_folder])
    assert known_scores(sweep)[:3] == ["saliency/peak_distance_px", "coarse/dsc", "coarse/hd95_px"]
    with pytest.raises(UserError, match="no measure 'dice'"):
        known_measure("dice")
    with pytest.raises(UserError, match="no run has weak/dsc"):
        pivot(sweep, "weak", DSC)
    for layout, said in (
        (Layout(rows=["colour"]), "'colour' is no axis"),
        (Layout(columns=["seed"]), "'seed' is no axis"),
        (Layout(rows=["saliency"], columns=["saliency"]), "rows and columns at once"),
        (Layout(against={"saliency": "y"}), "has no value 'y'"),
    ):
        with pytest.raises(UserError, match=said):
            pivot(sweep, "sam", DSC, layout)
    make_run(tmp_path / "other" / "0", {"saliency": "x"}, ["a"])
    make_run(tmp_path / "other" / "1", {"saliency": "y"}, ["b"])
    with pytest.raises(UserError, match="no image has this score in every run"):
        pivot(read_sweep([tmp_path / "other"]), "sam", DSC)


def test_seeds_over_other_images_are_refused(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["m2ib"], "seed": ["0", "1"]})
    summary = json.loads((folder / "1" / "summary.json").read_text())
    summary["choices"]["data"] = "other"
    (folder / "1" / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(UserError, match="the seeds of saliency=m2ib are over different images"):
        pivot(read_sweep([folder]), "sam", DSC)


def test_images_of_known_patients_go_by_patient_and_runs_of_old_believe_the_others(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"saliency": ["m2ib", "gradcam"]})
    with_patients = [{name: f"p{number // 2}" for number, name in enumerate(IMAGES)}]
    rewrite(folder / "1", lambda rows: [{**row, "patient": with_patients[0][row["id"]]} for row in rows])
    found = pivot(read_sweep([folder]), "sam", DSC)
    entry = found.entries[("gradcam",), ()]
    assert (entry.score["n"], entry.score["patients"], entry.score["ci95"]) == (8, 4, None)
    assert entry.comparison is not None
    assert entry.comparison.wilcoxon_p == pytest.approx(2 / 2**4)
    sheet = pivot_sheet(found)
    assert "images (patients)" in sheet.header
    assert "8 (4)" in [item.text for item in sheet.lines[1]]
    assert "8 images of 4 patients" in sheet.notes[0]
    assert "bootstrap over patients" in sheet.notes[0]
    assert "Wilcoxon signed-rank test by patient" in sheet.notes[1]
    assert not any("look like slices" in note for note in sheet.notes)


def test_slices_of_unknown_patients_are_warned_of(tmp_path: Path) -> None:
    for number, method in enumerate(("m2ib", "gradcam")):
        names = [f"vol{volume}_{place}" for volume in range(2) for place in range(3)]
        make_run(tmp_path / str(number), {"saliency": method}, images=names)
    found = pivot(read_sweep([tmp_path]), "sam", DSC)
    assert any("look like slices" in remark for remark in found.remarks)
    assert "patients" not in found.entries[("m2ib",), ()].score
