"""Whole runs with tiny networks of random weights: what they leave, what they reuse, what they compute again."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.runner import run
from medsam_exp.masks.component_filter.largest import LargestComponents
from medsam_exp.types import UserError
from tests.compose import composed
from tests.conftest import ROOT
from tests.stored import stored_infos

RANDOM = ("clip=tiny_random", "sam=tiny_scratch", "saliency.steps=2", "saliency.noise_samples=1")


class Runs:
    """Runs that share one artifact store."""

    def __init__(self, folder: Path, *finished: Path) -> None:
        self.folder = folder
        self.finished = finished
        self.count = len(finished)

    def __call__(self, *overrides: str) -> Path:
        """Run and return the run's folder."""
        self.count += 1
        run_dir = self.folder / f"run{self.count}"
        run_dir.mkdir()
        cfg = composed(*RANDOM, f"paths.outputs={self.folder}", *overrides)
        run(cfg, run_dir, {"data": "phantom", "saliency": "m2ib", "hydra/launcher": "basic"}, list(overrides))
        return run_dir

    def timing(self, run_dir: Path) -> dict[str, tuple[int, int]]:
        """(computed, cached) samples of each stage."""
        timing = json.loads((run_dir / "summary.json").read_text())["timing"]
        return {stage: (row["images"], row["cached"]) for stage, row in timing.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two finished runs, over two drawn scans and over three squares; tests work on copies of their folder."""
    runs = Runs(tmp_path_factory.mktemp("finished"))
    root = runs.folder / "squares"
    for number in range(3):
        _add_image(root, number)
    return Runs(runs.folder, runs("data.count=2"), runs(*_folder(root)))


@pytest.fixture
def runs(tmp_path: Path, finished: Runs) -> Runs:
    """Runs that share the store of the finished ones."""
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    return Runs(tmp_path, *(tmp_path / run_dir.name for run_dir in finished.finished))


@pytest.fixture
def drawn(runs: Runs) -> Path:
    """The finished run over two drawn scans."""
    return runs.finished[0]


@pytest.fixture
def squares(runs: Runs) -> Path:
    """The finished run over `images`."""
    return runs.finished[1]


@pytest.fixture
def fresh_runs(tmp_path: Path) -> Runs:
    """Runs with an empty store."""
    return Runs(tmp_path)


@pytest.fixture
def images(runs: Runs) -> Path:
    """Three gray images with a bright square, and their masks."""
    return runs.folder / "squares"


def _add_image(root: Path, number: int) -> None:
    (root / "test_images").mkdir(parents=True, exist_ok=True)
    (root / "test_masks").mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 60, (40, 56), dtype=np.uint8)
    mask = np.zeros((40, 56), np.uint8)
    mask[10:20, 10 + number : 25 + number] = 255
    pixels[mask > 0] += 150
    Image.fromarray(pixels).save(root / "test_images" / f"s{number}.png")
    Image.fromarray(mask).save(root / "test_masks" / f"s{number}.png")


def _folder(images: Path) -> list[str]:
    return ["data=folder", f"data.root={images}", "text=free", "text.text=a bright square"]


def test_a_run_leaves_what_it_promises(drawn: Path) -> None:
    summary = json.loads((drawn / "summary.json").read_text())
    for measure in ("coarse/dsc", "sam/dsc", "sam/iou", "sam/nsd", "sam/hd95_px"):
        assert set(summary["metrics"][measure]) == {"mean", "std", "ci95", "n"}
        assert summary["metrics"][measure]["n"] == 2
    assert (
        set(summary["timing"]) == set(summary["keys"]) == {"saliency", "coarse_mask", "sam_mask", "evaluate"}
    )
    assert summary["choices"] == {"data": "phantom", "saliency": "m2ib"}
    assert any("evaluate" in use for use in summary["ground_truth_used_for"])
    assert [use for use in summary["ground_truth_used_for"] if use.startswith("text:")] == [
        "text: oracle, each text states the true place, size, tone and class of what is to be found (phantom, seed 2)"
    ]
    assert summary["environment"]["torch"]
    with (drawn / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["stage"]) for row in rows} == {"saliency", "coarse", "sam"}
    assert len(rows) == 6
    assert len(list((drawn / "masks").glob("*.png"))) == 2
    assert (drawn / "report.html").stat().st_size > 10_000
    assert list((drawn / "figures").glob("*.png"))


def test_masks_are_lossless_and_in_the_original_frame(squares: Path) -> None:
    masks = list((squares / "masks").glob("*.png"))
    assert len(masks) == 3
    for path in masks:
        with Image.open(path) as mask:
            assert mask.size == (56, 40)
            assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_the_same_run_again_computes_nothing_and_loads_no_network(
    runs: Runs, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medsam_exp.clip.load.load_clip", lambda **_: pytest.fail("CLIP was loaded"))
    monkeypatch.setattr("medsam_exp.sam.load.load_sam", lambda **_: pytest.fail("SAM was loaded"))
    second = runs("data.count=2")
    assert all(computed == 0 for computed, _ in runs.timing(second).values())
    old, new = (json.loads((folder / "summary.json").read_text())["metrics"] for folder in (drawn, second))
    assert old == new


def test_more_images_compute_only_the_new_ones(runs: Runs) -> None:
    timing = runs.timing(runs("data.count=3"))
    assert set(timing.values()) == {(1, 2)}


def test_another_postprocessor_computes_no_saliency(runs: Runs) -> None:
    timing = runs.timing(runs("data.count=2", "postprocess=otsu"))
    assert timing["saliency"] == (0, 2)
    assert timing["coarse_mask"] == timing["sam_mask"] == timing["evaluate"] == (2, 0)


def test_fusion_and_mask_filter_act_on_sams_mask_alone(runs: Runs, drawn: Path) -> None:
    whole = runs("data.count=2", "fusion=average")
    kept = runs("data.count=2", "fusion=average", "mask_filter=largest")
    for run_dir in (whole, kept):
        assert runs.timing(run_dir)["coarse_mask"] == (0, 2)
        assert runs.timing(run_dir)["sam_mask"] == (2, 0)
    (plain_records, records, kept_records) = (sam_records(runs, run_dir) for run_dir in (drawn, whole, kept))
    assert records == kept_records
    for record in records:
        proposals = record["proposal_iou_predictions"]
        assert [len(row) for row in proposals] == [3] * len(record["iou_predictions"])
        assert record["iou_predictions"] == pytest.approx([sum(row) / 3 for row in proposals])
    assert not any("proposal_iou_predictions" in record for record in plain_records)
    for path in (whole / "masks").glob("*.png"):
        mask, largest = (np.asarray(Image.open(folder / "masks" / path.name)) > 0 for folder in (whole, kept))
        assert np.array_equal(largest, LargestComponents(1)(mask, mask))


def sam_records(runs: Runs, run_dir: Path) -> list[dict]:
    key = json.loads((run_dir / "summary.json").read_text())["keys"]["sam_mask"]
    return stored_infos(runs.folder / "artifacts" / "sam_mask" / key)


def test_where_and_how_it_runs_is_not_part_of_the_key(runs: Runs, drawn: Path) -> None:
    other = runs("data.count=2", "workers=1", "batch_size.saliency=2", "name=other")
    keys = [json.loads((folder / "summary.json").read_text())["keys"] for folder in (drawn, other)]
    assert keys[0] == keys[1]


def test_a_corrected_mask_computes_one_score(runs: Runs, images: Path) -> None:
    path = images / "test_masks" / "s1.png"
    mask = np.asarray(Image.open(path)).copy()
    mask[0:5, 0:5] = 255
    Image.fromarray(mask).save(path)
    timing = runs.timing(runs(*_folder(images)))
    assert timing["evaluate"] == (1, 2)
    assert timing["saliency"] == timing["sam_mask"] == (0, 3)


def test_a_changed_image_and_a_changed_text_compute_what_they_touch(runs: Runs, images: Path) -> None:
    _add_image(images, 3)
    shutil.move(images / "test_images" / "s3.png", images / "test_images" / "s0.png")
    (images / "test_masks" / "s3.png").unlink()
    assert runs.timing(runs(*_folder(images)))["saliency"] == (1, 2)
    other = [*_folder(images)[:-1], "text.text=a dark square"]
    assert runs.timing(runs(*other))["saliency"] == (3, 0)


def test_a_folder_is_checked_at_first_use_and_no_key_knows(
    runs: Runs, images: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(images / "test_images" / "s0.png", images / "test_images" / "s9.png")
    shutil.copy(images / "test_masks" / "s2.png", images / "test_masks" / "s9.png")
    summaries = [json.loads((runs(*_folder(images)) / "summary.json").read_text())]
    said = "data check: error: the same image with contradicting masks: 1 (first: test/s0)"
    assert caplog.messages.count(said) == 1
    summaries.append(json.loads((runs(*_folder(images)) / "summary.json").read_text()))
    assert caplog.messages.count(said) == 1
    monkeypatch.setattr("medsam_exp.curation.quality.quick_check._check_once", lambda *_: ())
    summaries.append(json.loads((runs(*_folder(images)) / "summary.json").read_text()))
    assert summaries[0]["keys"] == summaries[1]["keys"] == summaries[2]["keys"]
    for summary in summaries:
        assert (
            summary["ground_truth_used_for"][-1]
            == "data checks: faults of masks, nothing else (folder, every split)"
        )


def test_a_leak_between_splits_is_said_in_every_run(
    runs: Runs, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("images", "masks"):
        (images / f"train_{part}").mkdir()
        shutil.copy(images / f"test_{part}" / "s1.png", images / f"train_{part}" / "s7.png")
    said = f"data check: the same image in test and train: 1 (first: test/s1), in {images}"
    for _ in range(2):
        run_dir = runs(*_folder(images), "stages=[saliency,coarse_mask,evaluate]")
        assert json.loads((run_dir / "summary.json").read_text())["notes"][0] == said
        assert said in capsys.readouterr().out
        assert said in (run_dir / "report.html").read_text()


def test_without_masks_it_predicts_and_says_so(runs: Runs, images: Path) -> None:
    shutil.rmtree(images / "test_masks")
    run_dir = runs(*_folder(images))
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["metrics"] == {}
    (use,) = summary["ground_truth_used_for"]
    assert use.endswith("chosen with the masks of 60 images of phantom (seed 77)"), "of drawn scans alone"
    assert len(list((run_dir / "masks").glob("*.png"))) == 3


def test_results_do_not_depend_on_order_or_batch_mates(runs: Runs, squares: Path, images: Path) -> None:
    alone = Runs(runs.folder / "alone")
    alone.folder.mkdir()
    (images / "test_images" / "s0.png").unlink()
    (images / "test_masks" / "s0.png").unlink()
    rest = alone(*_folder(images), "batch_size.saliency=2")
    for name in ("s1.png", "s2.png"):
        assert (squares / "masks" / name).read_bytes() == (rest / "masks" / name).read_bytes()


def test_an_empty_coarse_mask_gives_an_empty_mask_without_asking_sam(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medsam_exp.sam.load.load_sam", lambda **_: pytest.fail("SAM was loaded"))
    run_dir = runs("data.count=2", "component_filter=confidence", "component_filter.threshold=0.9999999")
    with (run_dir / "per_image.csv").open() as file:
        presence = {row["presence"] for row in csv.DictReader(file) if row["stage"] == "sam"}
    assert presence == {"0.0"}
    for path in (run_dir / "masks").glob("*.png"):
        assert not np.asarray(Image.open(path)).any()


def test_a_missing_checkpoint_is_named_before_anything_is_computed(fresh_runs: Runs) -> None:
    with pytest.raises(UserError, match=r"sam\.checkpoint"):
        fresh_runs("data.count=1", "sam=vit_b", "sam.checkpoint=/no/such/file.pth")
    assert not (fresh_runs.folder / "artifacts" / "saliency").exists()


def test_a_missing_gpu_is_named_before_anything_is_computed(
    fresh_runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device; use trainer=cpu"):
        fresh_runs("data.count=1", "trainer=gpu")
    assert [path.name for path in (fresh_runs.folder / "artifacts").iterdir()] == ["passed_checks"]


COMPUTE = {
    "torch", "pytorch_lightning", "torchmetrics", "open_clip", "transformers", "segment_anything", "sklearn", "pandas",
    "scipy.stats", "scipy.ndimage", "matplotlib", "skimage.measure",
}  # fmt: skip


def test_a_run_whose_results_are_stored_imports_nothing_that_computes(runs: Runs) -> None:
    """Neither for its checks, nor for its report; the first run with these paths fills both memories."""
    runs("data.count=2")
    code = """
import sys
from medsam_exp import run
run(*sys.argv[2:])
print(set(sys.argv[1].split()) & sys.modules.keys())
"""
    again = [*RANDOM, f"paths.outputs={runs.folder}", "data.count=2"]
    done = subprocess.run(
        [sys.executable, "-c", code, " ".join(COMPUTE), *again],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("\nset()\n")


def test_a_failing_stage_keeps_what_is_done(fresh_runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medsam_exp.sam.model.SamModel.encode", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        fresh_runs("data.count=2")
    monkeypatch.undo()
    timing = fresh_runs.timing(fresh_runs("data.count=2"))
    assert timing["saliency"] == timing["coarse_mask"] == (0, 2)
    assert timing["sam_mask"] == (2, 0)


@pytest.mark.parametrize("logger", ["tensorboard", "wandb"])
def test_a_password_in_the_shells_variables_reaches_no_file(logger: str, tmp_path: Path) -> None:
    address = "http://user:TOPSECRET@localhost:1"
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "run.py", *RANDOM, "data.count=1", f"logger={logger}"),
            f"paths.outputs={tmp_path}/outputs",
            "paths.proxy='${oc.env:PROXY_WITH_PASSWORD}'",
        ],
        cwd=tmp_path,
        env={**os.environ, "PROXY_WITH_PASSWORD": address, "WANDB_MODE": "offline"},
        capture_output=True,
        check=True,
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"summary.json", "report.html", "config.yaml"} <= {path.name for path in files}
    assert [path for path in files if b"TOPSECRET" in path.read_bytes()] == []
    assert b"TOPSECRET" not in done.stdout + done.stderr
