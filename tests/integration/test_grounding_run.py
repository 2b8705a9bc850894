"""Runs with control texts, presence score and veto: what they leave, what they compute again, what they refuse."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.runner import run
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.types import UserError
from tests.compose import composed

SMALL = ("sam=tiny_scratch", "saliency.steps=2", "saliency.noise_samples=1", "report_cases=1")
STAGES = "stages=[saliency,presence,coarse_mask,sam_mask,evaluate,control_maps,grounding]"
HALF_NORMAL = ("data=phantom_presence", "data.count=4")


class Runs:
    """Runs that share one artifact store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def __call__(self, *overrides: str) -> Path:
        self.count += 1
        run_dir = self.folder / f"run{self.count}"
        run_dir.mkdir(parents=True)
        run(composed(*SMALL, f"paths.outputs={self.folder}", *overrides), run_dir, {}, list(overrides))
        return run_dir


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def summary_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def computed(run_dir: Path) -> dict[str, int]:
    return {stage: row["images"] for stage, row in summary_of(run_dir)["timing"].items()}


def rows_of(run_dir: Path, stage: str) -> list[dict[str, str]]:
    with (run_dir / "per_image.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["stage"] == stage]


def test_a_vetoed_run_leaves_its_figures_and_a_new_threshold_computes_no_map(runs: Runs) -> None:
    first = runs(*HALF_NORMAL, STAGES, "veto=presence", "presence=calibrated")
    summary = summary_of(first)
    for kind in KINDS:
        for what in ("correlation", "peak_shift_px", "empty", "presence"):
            assert f"grounding/{what}_{kind}" in summary["metrics"]
    assert {"presence/auc", "presence/ece", "sam/false_mask", "sam/missed"} <= summary["metrics"].keys()
    assert summary["presence"]["with_target"] + summary["presence"]["without_target"] == 4
    uses = " ".join(summary["ground_truth_used_for"])
    assert "presence: calibrated with the masks of the 400 images of phantom_calibration (seed 101)" in uses
    assert "control_maps: contradictory texts chosen by what each image truly shows" in uses
    page = (first / "report.html").read_text()
    assert "Does the text matter?" in page
    assert "The same image under other texts" in page
    assert list((first / "figures").glob("grounding_*.png"))
    assert (first / "figures" / "presence.png").is_file()

    again = runs(*HALF_NORMAL, STAGES, "veto=presence", "presence=calibrated")
    assert set(computed(again).values()) == {0}
    assert summary_of(again)["metrics"] == summary["metrics"]

    strict = runs(*HALF_NORMAL, STAGES, "veto=presence", "presence=calibrated", "veto.threshold=1")
    done = computed(strict)
    assert done["saliency"] == done["presence"] == done["control_maps"] == 0
    assert done["coarse_mask"] == done["sam_mask"] == done["grounding"] == 4
    assert {row["vetoed"] for row in rows_of(strict, "coarse")} == {"True"}
    assert summary_of(strict)["metrics"]["grounding/empty_own"]["mean"] == 1
    for path in (strict / "masks").glob("*.png"):
        assert not np.asarray(Image.open(path)).any()
    assert any("4 of 4 masks were emptied by the veto" in note for note in summary_of(strict)["notes"])


def test_scores_do_not_depend_on_batches_or_on_being_resumed(runs: Runs, tmp_path: Path) -> None:
    random = ("clip=tiny_random", STAGES, "data=phantom_presence")
    sizes = ("batch_size.presence=2", "batch_size.control_maps=2", "batch_size.grounding=2")
    runs(*random, *sizes, "data.count=1")
    resumed = runs(*random, *sizes, "data.count=3")
    assert computed(resumed)["control_maps"] == computed(resumed)["grounding"] == 2
    other = Runs(tmp_path / "other")(*random, *sizes, "data.count=3")
    assert summary_of(resumed)["metrics"] == summary_of(other)["metrics"]


def test_the_same_text_as_a_control_gives_the_same_map(runs: Runs) -> None:
    """All texts see the same noise, so that only the text moves the map."""
    texts = ("text=free", "text.text=a dark mass", "grounding.absent_texts=[a dark mass]")
    run_dir = runs("clip=tiny_random", "stages=[saliency,control_maps,grounding]", "data.count=2", *texts)
    metrics = summary_of(run_dir)["metrics"]
    assert metrics["grounding/correlation_absent"]["mean"] == pytest.approx(1)
    assert metrics["grounding/peak_shift_px_absent"]["mean"] == 0
    assert metrics["grounding/correlation_contradictory"]["mean"] < 1
    assert "grounding/presence_absent" not in metrics


def test_without_the_veto_the_presence_score_changes_no_mask(runs: Runs) -> None:
    plain = runs("clip=tiny_random", "data.count=3")
    stages = "stages=[saliency,presence,coarse_mask,sam_mask,evaluate]"
    scored = runs("clip=tiny_random", "data.count=3", stages)
    for path in (plain / "masks").glob("*.png"):
        assert path.read_bytes() == (scored / "masks" / path.name).read_bytes()


def test_calibration_reads_its_own_split_and_its_file_serves_a_run(runs: Runs) -> None:
    stages = "stages=[saliency,presence,calibrate]"
    scans = ("clip=tiny_random", "data=phantom_calibration", "data.count=14", "calibration.folds=2")
    made = runs(*scans, stages)
    assert any(
        use == "calibrate: calibrating the presence score (phantom_calibration, seed 101)"
        for use in summary_of(made)["ground_truth_used_for"]
    )
    (file,) = runs.folder.glob("artifacts/calibrate/*/calibration.json")
    content = json.loads(file.read_text())
    assert content["provenance"]["images"] == 14
    used = runs(
        "clip=tiny_random",
        *HALF_NORMAL[:1],
        "data.count=2",
        "stages=[saliency,presence,coarse_mask]",
        "presence=calibrated",
        f"presence.file={file}",
        "veto=presence",
    )
    rows = rows_of(used, "presence")
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)
    masks = {row["id"]: row["vetoed"] for row in rows_of(used, "coarse")}
    assert masks == {row["id"]: str(float(row["probability"]) < 0.5) for row in rows}


def test_the_test_split_is_refused_before_anything_is_computed(runs: Runs) -> None:
    with pytest.raises(UserError, match="would read the masks of the test split of phantom_presence"):
        runs("clip=tiny_random", *HALF_NORMAL, "stages=[saliency,presence,calibrate]")
    assert not (runs.folder / "artifacts").exists()


def test_the_embedded_calibration_is_refused_for_another_clip(runs: Runs) -> None:
    with pytest.raises(UserError, match="holds for clip=tiny only"):
        runs("clip=tiny_random", "data.count=1", "stages=[saliency,presence]", "presence=calibrated")


def test_two_processes_give_the_figures_of_one(tmp_path: Path) -> None:
    """Every stage beside the default ones, on one process and on two."""
    stages = (
        "stages=[saliency,presence,coarse_mask,evaluate,control_maps,grounding,faithfulness,text_saliency]"
    )
    typed = (stages, "data=phantom_presence", "data.count=5", "clip=tiny_random", "batch_size.saliency=2")
    summaries = []
    for name, devices in (
        ("one", ()),
        ("two", ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")),
    ):
        run_dir = tmp_path / name / "run"
        run_dir.mkdir(parents=True)
        options = [*typed, *SMALL, *devices, f"paths.outputs={tmp_path / name}"]
        run(composed(*options), run_dir, {"data": "phantom_presence"}, options)
        summaries.append(summary_of(run_dir))
    one, two = summaries
    assert one["keys"] == two["keys"]
    assert one["metrics"] == two["metrics"]
