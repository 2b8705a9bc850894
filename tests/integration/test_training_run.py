"""Whole training runs: one process against two, and stages that use what a run has trained."""

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from medsam_exp.cli.runner import run
from medsam_exp.training.clip_finetune import ClipFinetuneModule
from medsam_exp.types import PairBatch
from tests.compose import composed

PAIRS = (
    "pairs=phantom",
    "pairs.train.count=32",
    "pairs.validation.count=20",
    "retrieval.batch_size=10",
    "clip=tiny_random",
    "loss=dhn_nce",
    "optimizer.lr=1e-4",
    "fit=tiny_clip",
    "fit.batch_size=8",
    "fit.epochs=2",
)


def finish(outputs: Path, name: str, *overrides: str) -> dict[str, Any]:
    run_dir = outputs / name
    run_dir.mkdir(parents=True)
    typed = [f"paths.outputs={outputs}", *overrides]
    run(composed(*typed), run_dir, {"pairs": "phantom", "clip": "tiny_random", "data": "phantom"}, typed)
    return json.loads((run_dir / "summary.json").read_text())


def artifact(outputs: Path, summary: dict[str, Any], stage: str) -> Path:
    return outputs / "artifacts" / stage / summary["keys"][stage]


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("one", "two")]
    stages = "stages=[finetune_clip,retrieval]"
    one = finish(outputs[0], "run", *PAIRS, stages)
    two = finish(outputs[1], "run", *PAIRS, stages, "trainer=ddp", "trainer.accelerator=cpu")
    assert one["keys"] == two["keys"]
    left, right = (
        load_file(artifact(folder, one, "finetune_clip") / "clip" / "open_clip_model.safetensors")
        for folder in outputs
    )
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.allclose(value, right[name], atol=1e-5), name
    for name, figure in one["metrics"].items():
        assert two["metrics"][name]["mean"] == pytest.approx(figure["mean"], abs=1e-6), name


def test_a_training_killed_within_an_epoch_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved between epochs or within one leads to the weights of an undisturbed training."""
    whole = finish(tmp_path / "whole", "run", *PAIRS, "stages=[finetune_clip]")
    monkeypatch.setattr("medsam_exp.stages.context.CHECKPOINT_EVERY", timedelta(seconds=0))
    taken: list[int] = []
    embed = ClipFinetuneModule._embed

    def killed_in_the_second_epoch(module: ClipFinetuneModule, batch: PairBatch) -> Any:
        if module.training:
            taken.append(module.global_step)
            if len(taken) == 7:  # of 4 + 4 steps
                raise KeyError("killed")
        return embed(module, batch)

    monkeypatch.setattr(ClipFinetuneModule, "_embed", killed_in_the_second_epoch)
    with pytest.raises(KeyError, match="killed"):
        finish(tmp_path / "killed", "first", *PAIRS, "stages=[finetune_clip]")
    resumed = finish(tmp_path / "killed", "second", *PAIRS, "stages=[finetune_clip]")
    assert taken == [0, 1, 2, 3, 4, 5, 6, 6, 7]  # step 6 was begun twice, none before it was
    left, right = (
        load_file(
            artifact(tmp_path / name, summary, "finetune_clip") / "clip" / "open_clip_model.safetensors"
        )
        for name, summary in (("whole", whole), ("killed", resumed))
    )
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def recorded(run_dir: Path, column: str) -> dict[int, float]:
    """Values of a curve by step."""
    with (run_dir / "curves" / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[column]) for row in csv.DictReader(file) if row.get(column)}


def test_a_short_training_leaves_its_curves_in_file_and_report(tmp_path: Path) -> None:
    """8 steps, with the loggers' usual interval of 50; what is not trained again is not drawn again."""
    finish(tmp_path, "first", *PAIRS, "stages=[finetune_clip]")
    for column in ("loss", "learning_rate", "temperature", "image_spread", "images_per_second"):
        assert list(recorded(tmp_path / "first", f"train/{column}")) == list(range(8)), column
    assert list(recorded(tmp_path / "first", "val/top1_image_to_text")) == [3, 7]
    assert (tmp_path / "first" / "figures" / "training.png").is_file()
    assert "<h2>Training</h2>" in (tmp_path / "first" / "report.html").read_text()
    finish(tmp_path, "again", *PAIRS, "stages=[finetune_clip]")
    assert not (tmp_path / "again" / "figures").exists()
    assert "<h2>Training</h2>" not in (tmp_path / "again" / "report.html").read_text()


def test_other_captions_in_the_same_place_train_anew(tmp_path: Path) -> None:
    """Location and file name are no part of a key, but what stands in the file is."""
    generator = np.random.default_rng(0)
    for number in range(12):
        pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    table = tmp_path / "pairs.csv"
    settings = (
        *PAIRS[4:],
        "pairs=csv",
        f"pairs.train.file={table}",
        f"pairs.validation.file={tmp_path / 'others.csv'}",
        "pairs.train.part=all",
        "pairs.validation.part=all",
        "fit.batch_size=4",
        "stages=[finetune_clip,retrieval]",
        "retrieval.batch_size=4",
    )
    summaries = {}
    for name, word in (("first", "bright"), ("second", "dark"), ("again", "dark")):
        rows = [f"{number}.png,a {word} lesion of kind number {number}" for number in range(12)]
        table.write_text("\n".join(["filename,Caption", *rows[:8]]))
        (tmp_path / "others.csv").write_text("\n".join(["filename,Caption", *rows[8:]]))
        summaries[name] = finish(tmp_path, name, *settings)
    first, second, again = (summaries[name] for name in ("first", "second", "again"))
    assert first["keys"]["finetune_clip"] != second["keys"]["finetune_clip"]
    assert first["keys"]["retrieval"] != second["keys"]["retrieval"]
    assert second["timing"]["finetune_clip"]["cached"] == 0
    assert second["keys"] == again["keys"]
    assert again["timing"]["finetune_clip"]["cached"] == 1


def test_later_stages_use_the_fresh_clip(tmp_path: Path) -> None:
    """No path is typed: the maps of a run that trains differ from those of one that does not."""
    data = ("data=phantom", "data.count=2", "saliency.steps=2")
    plain = finish(tmp_path, "plain", *PAIRS, *data, "stages=[saliency,coarse_mask,evaluate]")
    chained = ("stages=[finetune_clip,saliency,coarse_mask,evaluate]",)
    first = finish(tmp_path, "first", *PAIRS, *data, *chained)
    again = finish(tmp_path, "again", *PAIRS, *data, *chained)
    hotter = finish(tmp_path, "hotter", *PAIRS, *data, *chained, "loss.temperature=0.5")
    assert len({run["keys"]["saliency"] for run in (plain, first, hotter)}) == 3
    assert first["keys"] == again["keys"]
    assert {name: timing["images"] for name, timing in again["timing"].items()} == dict.fromkeys(
        again["timing"], 0
    )
    assert first["metrics"] != plain["metrics"]


def test_later_stages_use_the_fresh_sam(tmp_path: Path) -> None:
    small = (
        "data=phantom",
        "data.count=2",
        "++train_data.seed=5",
        "++train_data.count=8",
        "prompt=center_box",
        "saliency=intensity",
        "fit=tiny_sam",
        "fit.batch_size=4",
        "fit.epochs=1",
        "sam=tiny_scratch",
    )
    mask_stages = "saliency,coarse_mask,sam_mask,evaluate"
    plain = finish(tmp_path, "plain", *small, f"stages=[{mask_stages}]")
    trained = finish(tmp_path, "trained", *small, f"stages=[train_sam,{mask_stages}]")
    assert plain["keys"]["sam_mask"] != trained["keys"]["sam_mask"]
    assert plain["metrics"]["sam/dsc"] != trained["metrics"]["sam/dsc"]
    assert list(recorded(tmp_path / "trained", "train/images_per_second")) == list(
        recorded(tmp_path / "trained", "train/loss")
    )
    report = (tmp_path / "trained" / "report.html").read_text()
    assert 0 < report.index("<h2>Training</h2>") < report.index("<h2>Best cases</h2>")


def test_two_processes_train_a_sam(tmp_path: Path) -> None:
    small = (
        "data=phantom",
        "data.count=8",
        "fit=tiny_sam",
        "fit.batch_size=4",
        "fit.epochs=1",
        "sam=tiny_scratch",
    )
    one = finish(tmp_path / "one", "run", *small, "stages=[train_sam]")
    two = finish(
        tmp_path / "two", "run", *small, "stages=[train_sam]", "trainer=ddp", "trainer.accelerator=cpu"
    )
    left, right = (
        load_file(artifact(tmp_path / name, summary, "train_sam") / "sam.safetensors")
        for name, summary in (("one", one), ("two", two))
    )
    for name, value in left.items():
        assert torch.allclose(value.float(), right[name].float(), atol=2e-3), name
