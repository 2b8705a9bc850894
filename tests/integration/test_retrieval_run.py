"""Whole retrieval runs: what they leave, what they reuse, whose weights they measure, one process against two."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medsam_exp.cli.runner import run
from medsam_exp.types import UserError
from tests.compose import composed

SMALL = (
    "stages=[retrieval]",
    "clip=tiny_random",
    "pairs=phantom",
    "pairs.validation.count=41",
    "retrieval.batch_size=10",
)


def finish(outputs: Path, name: str, *overrides: str) -> tuple[Path, dict[str, Any]]:
    """Run to the end; return the run's folder and summary."""
    return finish_typed(outputs, name, *SMALL, *overrides)


def finish_typed(outputs: Path, name: str, *overrides: str) -> tuple[Path, dict[str, Any]]:
    """The same with nothing but these overrides."""
    run_dir = outputs / name
    run_dir.mkdir(parents=True)
    typed = [f"paths.outputs={outputs}", *overrides]
    run(composed(*typed), run_dir, {"pairs": "phantom", "clip": "tiny_random", "data": "phantom"}, typed)
    return run_dir, json.loads((run_dir / "summary.json").read_text())


def computed(summary: dict[str, Any], stage: str = "retrieval") -> tuple[int, int]:
    return summary["timing"][stage]["images"], summary["timing"][stage]["cached"]


def test_a_random_network_is_at_chance_and_all_files_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, summary = finish(tmp_path, "one")
    figures = summary["metrics"]
    assert {name.partition("/")[0] for name in figures} == {"retrieval"}
    assert len(figures) == 10
    for name, figure in figures.items():
        standard_error = (figure["chance"] * (1 - figure["chance"]) / 41) ** 0.5
        assert abs(figure["mean"] - figure["chance"]) < 4 * standard_error, name
        assert figure["n"] <= 41
    assert figures["retrieval/top1_image_to_text"]["chance"] == pytest.approx(0.1, abs=0.01)
    assert summary["retrieval"] | {"texts": 0} == {
        "part": "validation",
        "pairs": 41,
        "texts": 0,
        "batch_size": 10,
        "shuffles": 5,
        "left_out": 1,
        "captions": 318,
        "captions_left_out": 277,
    }
    printed = capsys.readouterr().out
    assert "top-2 of a batch" in printed
    assert "1 of them left out of each shuffle" in printed
    report = (run_dir / "report.html").read_text()
    assert "recall@10 of all" in report
    assert "Every image" not in report
    assert not (run_dir / "per_image.csv").exists()
    logged = (run_dir / "curves" / "metrics.csv").read_text()
    assert "retrieval/recall5_text_to_image" in logged


def test_several_captions_are_counted_or_all_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five images; one has three captions and another shares one of them."""
    rows = ["filename,Caption"]
    for number in range(5):
        Image.new("L", (30, 30), 40 * number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,a scan with the number {number} in words")
    rows += ["0.png,another caption of the first image", "0.png,a third one shared by two images"]
    rows.append("1.png,a third one shared by two images")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    own = (
        "pairs=csv",
        f"pairs.train.file={tmp_path / 'pairs.csv'}",
        "pairs.train.part=all",
        "pairs.validation.part=all",
        "retrieval.batch_size=2",
    )
    fewer = [name for name in SMALL if "pairs" not in name and "batch_size" not in name]
    run_dir, one = finish_typed(tmp_path, "one", *fewer, *own)
    assert one["retrieval"] | {"texts": 0} == {
        "part": "validation",
        "pairs": 5,
        "texts": 0,
        "batch_size": 2,
        "shuffles": 5,
        "left_out": 1,
        "captions": 8,
        "captions_left_out": 3,
    }
    sentence = "one caption an image is drawn, 3 of 8 are not used"
    assert sentence in " ".join(capsys.readouterr().out.split())
    assert sentence in (run_dir / "report.html").read_text()
    _, every = finish_typed(tmp_path, "all", *fewer, *own, "retrieval=all_captions")
    assert every["retrieval"] == {
        "part": "validation",
        "images": 5,
        "captions": 8,
        "texts": 7,
        "batch_size": 2,
        "shuffles": 5,
        "last_batch": 1,
    }
    assert every["metrics"]["retrieval/top1_image_to_text"]["n"] == 5
    assert every["metrics"]["retrieval/top1_text_to_image"]["n"] == 8
    assert "every caption of an image is right" in " ".join(capsys.readouterr().out.split())


def test_again_computes_nothing_and_loads_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = finish(tmp_path, "one")
    monkeypatch.setattr("medsam_exp.clip.load.load_clip", lambda **_: pytest.fail("CLIP was loaded"))
    run_dir, second = finish(tmp_path, "two", "workers=1", "batch_size.retrieval=7")
    assert computed(first) == (1, 0)
    assert computed(second) == (0, 1)
    assert first["metrics"] == second["metrics"]
    assert first["retrieval"] == second["retrieval"]
    assert "recall@10 of all" in (run_dir / "report.html").read_text()


def test_what_decides_the_result_computes_anew(tmp_path: Path) -> None:
    keys = {
        finish(tmp_path, f"run{number}", *override)[1]["keys"]["retrieval"]
        for number, override in enumerate(
            [(), ("seed=1",), ("retrieval.shuffles=2",), ("clip.seed=1",), ("pairs.validation.seed=5",)]
        )
    }
    assert len(keys) == 5


def test_batch_size_and_workers_change_no_figure(tmp_path: Path) -> None:
    one = finish(tmp_path / "a", "run", "batch_size.retrieval=32")[1]["metrics"]
    other = finish(tmp_path / "b", "run", "batch_size.retrieval=7", "workers=2")[1]["metrics"]
    assert one == other


def test_two_processes_give_the_figures_of_one(tmp_path: Path) -> None:
    _, one = finish(tmp_path / "a", "run")
    two_processes = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
    _, two = finish(tmp_path / "b", "run", *two_processes)
    assert computed(two) == (1, 0)
    assert two["metrics"] == one["metrics"]
    assert two["retrieval"] == one["retrieval"]
    assert two["keys"] == one["keys"]


def test_a_fresh_training_is_measured_with_its_own_weights(tmp_path: Path) -> None:
    _, before = finish(tmp_path, "before")
    train = ("pairs.train.count=8", "fit.batch_size=4", "fit.epochs=1", "optimizer.lr=0.01")
    _, after = finish(tmp_path, "after", "stages=[finetune_clip,retrieval]", *train)
    assert computed(after) == (1, 0)
    assert before["keys"]["retrieval"] != after["keys"]["retrieval"]
    assert before["metrics"] != after["metrics"]


def test_before_a_training_the_untrained_network_is_measured(tmp_path: Path) -> None:
    _, alone = finish(tmp_path, "alone")
    train = ("pairs.train.count=8", "fit.batch_size=4", "fit.epochs=1", "optimizer.lr=0.01")
    _, first = finish(
        tmp_path, "first", "stages=[retrieval,finetune_clip]", *train, "pairs.validation.seed=4"
    )
    _, same = finish(tmp_path, "same", "pairs.train.count=8", "pairs.validation.seed=4")
    assert computed(first) == (1, 0)
    assert computed(same) == (0, 1)
    assert same["metrics"] == first["metrics"] != alone["metrics"]


def test_too_few_pairs_are_named_before_the_network_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medsam_exp.clip.load.load_clip", lambda **_: pytest.fail("CLIP was loaded"))
    with pytest.raises(UserError, match=r"pairs\.validation has 41 pairs, fewer than .*batch_size=50"):
        finish(tmp_path, "run", "retrieval.batch_size=50")


def test_broken_weights_are_named_with_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "medsam_exp.clip.model.ClipModel.encode_image",
        lambda self, images: self.network.encode_image(images) * float("nan"),
    )
    with pytest.raises(UserError, match="the image embedding of 'phantom_1_000000' with NaN or infinity"):
        finish(tmp_path, "run")


def test_pairs_and_images_share_one_run_and_one_report(tmp_path: Path) -> None:
    small = ("saliency=intensity", "data.count=2")
    run_dir, summary = finish(tmp_path, "run", "stages=[retrieval,saliency,coarse_mask,evaluate]", *small)
    assert {name.partition("/")[0] for name in summary["metrics"]} == {"retrieval", "coarse", "saliency"}
    report = (run_dir / "report.html").read_text()
    assert "Every image" in report
    assert "recall@1 of all" in report
    assert "<code>retrieval/" not in report, "a figure stands in one table"


def test_a_source_without_training_pairs_can_be_measured(tmp_path: Path) -> None:
    _, summary = finish(tmp_path, "run", "pairs.train=null")
    assert summary["retrieval"]["pairs"] == 41
