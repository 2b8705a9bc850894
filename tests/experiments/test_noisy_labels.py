"""The experiment on wrong labels: how masks are made wrong, small copies, and what each row asks of `run.py`."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.noisy_labels import collect
from experiments.noisy_labels.collect import PLAIN, ROWS, SPLITS, figures_of, options_of, scores_of
from experiments.noisy_labels.degrade import LOST, degraded, write_degraded
from experiments.noisy_labels.small_copy import SIDE, write_small_copy
from medsam_exp.metrics.overlap import dice
from medsam_exp.types import Sample

ROWS_AND_COLUMNS = np.indices((64, 80))
DISC = np.hypot(ROWS_AND_COLUMNS[0] - 30, ROWS_AND_COLUMNS[1] - 40) < 12
"""Far enough from the edges that nothing is shifted or dilated over them."""


def scans(count: int) -> Any:
    truth = {f"scan_{number}": DISC for number in range(count)}
    return SimpleNamespace(
        samples=[Sample(name) for name in truth],
        split="train",
        read_ground_truth=truth.__getitem__,
        read_image=lambda _: (np.random.default_rng(0).random((*DISC.shape, 3)) * 255).astype(np.uint8),
    )


def test_masks_are_lost_eroded_dilated_or_shifted() -> None:
    ways = {"lost": 0, "eroded": 0, "dilated": 0, "shifted": 0}
    for seed in range(600):
        wrong = degraded(DISC, np.random.default_rng(seed))
        if not wrong.any():
            ways["lost"] += 1
        elif not (wrong & ~DISC).any():
            ways["eroded"] += 1
        elif not (DISC & ~wrong).any():
            ways["dilated"] += 1
        else:
            ways["shifted"] += 1
            assert wrong.sum() == DISC.sum()
        assert dice(wrong, DISC) < 0.95
    assert ways["lost"] / 600 == pytest.approx(LOST, abs=0.05)
    for way in ("eroded", "dilated", "shifted"):
        assert ways[way] / 600 == pytest.approx((1 - LOST) / 3, abs=0.07), way


def test_a_mask_shifted_over_the_edge_is_cut_there() -> None:
    edge = np.zeros((20, 20), bool)
    edge[:, 18:] = True
    for seed in range(40):
        wrong = degraded(edge, np.random.default_rng(seed))
        assert wrong.shape == edge.shape
        assert not wrong[:, :4].any(), "it came back on the other side"


def test_wrong_masks_depend_on_the_sample_and_the_opinion_alone(tmp_path: Path) -> None:
    first = write_degraded(scans(8), tmp_path / "a", "first")
    assert write_degraded(scans(4), tmp_path / "b", "first") == first[:4]
    assert write_degraded(scans(8), tmp_path / "c", "second") != first
    assert len(set(first)) > 4
    for number, overlap in enumerate(first):
        written = np.asarray(Image.open(tmp_path / "a" / f"scan_{number}.png"))
        assert set(np.unique(written)) <= {0, 255}
        assert dice(written > 0, DISC) == overlap


def test_a_small_copy_has_a_masks_pixel_where_half_of_it_was(tmp_path: Path) -> None:
    wide = np.zeros((SIDE * 2, SIDE * 3), bool)
    wide[30:91, 40:101] = True
    data = scans(1)
    data.read_ground_truth = lambda _: wide
    data.read_image = lambda _: np.repeat(wide[..., None], 3, axis=2).astype(np.uint8) * 200
    write_small_copy(data, tmp_path)
    mask = np.asarray(Image.open(tmp_path / "train_masks" / "scan_0.png"))
    image = np.asarray(Image.open(tmp_path / "train_images" / "scan_0.png"))
    assert mask.shape == image.shape[:2] == (SIDE * 2 // 3, SIDE)
    blocks = wide.reshape(SIDE * 2 // 3, 3, SIDE, 3).mean((1, 3))
    np.testing.assert_array_equal(mask > 0, blocks >= 0.5)
    np.testing.assert_allclose(image[..., 0], blocks * 200, atol=1)


def test_rows_get_both_folders_and_a_second_round_gets_the_network() -> None:
    given = {row: options_of(row, Path("one"), Path("two"), "net") for row in ROWS}
    assert given[PLAIN] == ["weak_label=folder", "weak_label.root=one", "weak_label.second=two"]
    assert given["true masks"] == ["weak_label=ground_truth"]
    earlier = [row for row, options in given.items() if "ensemble.results=net" in options]
    assert earlier == ["second round"]
    assert not any("weak_label=folder" in given[row] for row in earlier)


def test_differences_are_paired_with_the_wrong_labels_of_the_same_seed() -> None:
    generator = np.random.default_rng(0)
    scores: dict[str, Any] = {
        row: {"val": [{f"scan_{n}": float(generator.random()) for n in range(6)} for _ in range(2)]}
        for row in (PLAIN, "border")
    }
    found = figures_of(scores)
    means = {row: np.mean([[*each.values()] for each in scores[row]["val"]]) for row in scores}
    assert found["border"]["val"]["mean"] == pytest.approx(means["border"])
    assert found["border"]["val"]["seeds"] == [
        pytest.approx(np.mean([*each.values()])) for each in scores["border"]["val"]
    ]
    assert found["border"]["val - plain"]["mean"] == pytest.approx(means["border"] - means[PLAIN])
    assert found[PLAIN]["val - plain"]["mean"] == 0


def test_every_row_is_run_on_both_splits_and_the_second_round_with_the_plain_rows_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(options: Sequence[str], folder: Path) -> None:
        asked.append([*options])
        folder.mkdir(parents=True)
        results = {"weak_labels": {"weak_label": {"results": f"network of {folder.name}"}}}
        (folder / "summary.json").write_text(json.dumps(results))
        lines = ["id,stage,dsc", f"a,weak_single,{len(asked) / 100}", "a,coarse,1.0"]
        (folder / "per_image.csv").write_text("\n".join(lines))

    monkeypatch.setattr(collect, "run", run)
    monkeypatch.setattr(collect, "FOLDER", tmp_path)
    found = scores_of("data.root=small", Path("one"), Path("two"))
    assert [list(found), *map(list, found.values())] == [list(ROWS), *[list(SPLITS)] * len(ROWS)]
    assert len(asked) == len(ROWS) * len(SPLITS)
    place = list(ROWS).index(PLAIN)
    assert found[PLAIN] == {"val": [{"a": (2 * place + 1) / 100}], "test": [{"a": (2 * place + 2) / 100}]}
    rounds = [options for options in asked if "label_stages=[nnunet_ensemble]" in options]
    assert len(rounds) == len(SPLITS)
    assert all(f"ensemble.results=network of {place:02d}_test" in options for options in rounds)
    assert all("data.root=small" in options for options in asked)
