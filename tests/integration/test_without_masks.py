"""Scores that need no true masks, against plain computations; a search by them on a folder without masks."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.cli.runner import run
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.engine.leakage import FILE
from tests.compose import composed

CHOICES = {
    "data": "folder",
    "clip": "tiny",
    "saliency": "m2ib",
    "postprocess": "kmeans",
    "component_filter": "largest",
    "prompt": "box",
}
TEXTS = ("text=per_image", "text.uses_class_labels=false")
SCORES = ("text_match", "agreement", "stability")
CHAIN = f"stages=[saliency,coarse_mask,sam_mask,{','.join(SCORES)}]"
COUNT = 3


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans as PNG files and a sentence for each, no mask anywhere."""
    folder = tmp_path_factory.mktemp("images")
    scans = PhantomDataset(seed=2, count=COUNT, modalities=["ultrasound"])
    for number, sample in enumerate(scans.samples):
        Image.fromarray(scans.read_image(sample.id)).save(folder / f"{number}.png")
    texts = {f"{number}.png": sample.description for number, sample in enumerate(scans.samples)}
    (folder.parent / f"{folder.name}.json").write_text(json.dumps(texts))
    return folder


@pytest.fixture(scope="module")
def texts(images: Path) -> str:
    return f"text.path={images.parent / images.name}.json"


def execute(outputs: Path, name: str, images: Path, *overrides: str) -> tuple[Path, dict[str, Any]]:
    run_dir = outputs / name
    run_dir.mkdir(parents=True)
    given = ["data=folder", f"data.root={images}", "data.name=mine", *TEXTS, *overrides]
    places = [f"paths.outputs={outputs}", f"paths.tuned={outputs}/conf/tuned"]
    run(composed(*given, *places), run_dir, CHOICES, given)
    return run_dir, json.loads((run_dir / "summary.json").read_text())


def rows_of(run_dir: Path, stage: str) -> list[dict[str, str]]:
    with (run_dir / "per_image.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["stage"] == stage]


def masks_of(run_dir: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(run_dir / "masks" / f"{n}.png")) > 0 for n in range(COUNT)]


def overlap(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> list[float]:
    """DSC pixel by pixel in sets; 0 where the first is empty."""
    found = []
    for a, b in zip(one, other, strict=True):
        first, second = set(zip(*np.nonzero(a), strict=True)), set(zip(*np.nonzero(b), strict=True))
        found.append(2 * len(first & second) / (len(first) + len(second)) if first else 0.0)
    return found


def test_scores_are_those_of_masks_of_separate_runs(images: Path, texts: str, tmp_path: Path) -> None:
    run_dir, summary = execute(tmp_path, "all", images, texts, CHAIN, "augmentation.gamma=0.7")
    wanted = {f"{label}/{name}" for label in ("coarse", "sam") for name in ("text_match", "stability")}
    wanted |= {"sam/agreement", "sam/expected_iou"}
    assert wanted <= set(summary["metrics"])
    assert not summary["ground_truth_used_for"][1:], "only the network's own tuned numbers"
    assert "Stability" in (run_dir / "report.html").read_text()

    brighter = tmp_path / "brighter"
    brighter.mkdir()
    for path in images.glob("*.png"):
        values = np.asarray(Image.open(path)).astype(float)
        Image.fromarray(np.rint(255 * (values / 255) ** 0.7).astype(np.uint8)).save(brighter / path.name)
    chain = "stages=[saliency,coarse_mask,sam_mask]"
    coarse_only = "stages=[saliency,coarse_mask]"
    again, _ = execute(tmp_path / "b", "sam", brighter, texts, chain)
    coarse, _ = execute(tmp_path / "c", "coarse", images, texts, coarse_only)
    coarse_again, _ = execute(tmp_path / "d", "coarse", brighter, texts, coarse_only)
    found = {
        "stability": overlap(masks_of(run_dir), masks_of(again)),
        "agreement": overlap(masks_of(coarse), masks_of(run_dir)),
    }
    for name, values in found.items():
        assert [float(row[name]) for row in rows_of(run_dir, "sam")] == pytest.approx(values)
    expected = [float(row["expected_iou"]) for row in rows_of(run_dir, "sam")]
    assert [value > 0 for value in expected] == [bool(mask.any()) for mask in masks_of(run_dir)]
    stable = overlap(masks_of(coarse), masks_of(coarse_again))
    assert [float(row["stability"]) for row in rows_of(run_dir, "coarse")] == pytest.approx(stable)
    assert 0 < np.mean(found["stability"]) < 1, "the scores must differ for this to mean anything"


def test_a_search_on_images_alone_equals_separate_runs_and_later_runs_say_so(
    images: Path, texts: str, tmp_path: Path
) -> None:
    tune = ("stages=[tune]", "search=no_masks", "search.space.saliency.beta=[0.1,3.0]", "~tuned/network")
    run_dir, summary = execute(tmp_path, "tune", images, texts, *tune, "saliency.layer=3")
    assert summary["ground_truth_used_for"] == []
    assert "No mask was read" in (run_dir / "report.html").read_text()
    for trial in summary["tuning"]["trials"]:
        beta = trial["values"]["saliency.beta"]
        numbers = (f"saliency.beta={beta}", "saliency.layer=3", "~tuned/network")
        stages = "stages=[saliency,coarse_mask,sam_mask,text_match]"
        _, alone = execute(tmp_path / "alone", str(beta), images, texts, stages, *numbers)
        assert alone["metrics"]["sam/text_match"] == trial["score"]
    means = [trial["score"]["mean"] for trial in summary["tuning"]["trials"]]
    assert means[0] != means[1]
    assert summary["tuning"]["best"]["score"]["mean"] == max(means)
    assert not list((tmp_path / "artifacts" / "tune").glob(f"*/{FILE}")), "nothing was learnt from masks"

    (tmp_path / "conf" / "tuned" / "folder_tiny_m2ib.yaml").rename(
        tmp_path / "conf" / "tuned" / "folder_tiny_random_m2ib.yaml"
    )  # the repository has numbers of its own for the first
    later = ("clip=tiny_random", f"hydra.searchpath=[file://{tmp_path}/conf]")
    _, later_summary = execute(tmp_path, "later", images, texts, *later, "stages=[saliency,coarse_mask]")
    [said] = [note for note in later_summary["notes"] if note.startswith("tuned: ")]
    assert "chosen without masks by the best sam/text_match on 3 images of mine (test)" in said
    assert said.endswith(", the images of this run")


def test_a_search_by_stability_changes_the_images_of_every_trial(
    images: Path, texts: str, tmp_path: Path
) -> None:
    tune = ("stages=[tune]", "search=no_masks", "search.metric=coarse/stability", "pruner=wilcoxon")
    space = ("~search.space.saliency", "+search.space.postprocess.value=[0.2,0.7]", "postprocess=threshold")
    _, summary = execute(tmp_path, "tune", images, texts, *tune, *space, "pruner.first=2", "~tuned/network")
    for trial in summary["tuning"]["trials"]:
        numbers = (f"postprocess.value={trial['values']['postprocess.value']}", "postprocess=threshold")
        stages = "stages=[saliency,coarse_mask,stability]"
        _, alone = execute(tmp_path / "alone", numbers[0], images, texts, stages, *numbers, "~tuned/network")
        assert alone["metrics"]["coarse/stability"] == trial["score"]
