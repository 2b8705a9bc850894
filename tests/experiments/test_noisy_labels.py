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
from experiments.noisy_labels.collect import (
    COMMON,
    DIFFERENCE,
    PLAIN,
    ROWS,
    SCORED,
    STAGES,
    THRESHOLDS,
    TUNED,
    Trained,
    figures_of,
    label_overlap,
    options_of,
)
from experiments.noisy_labels.degrade import LOST, degraded, write_degraded
from experiments.noisy_labels.small_copy import SIDE, write_small_copy
from medsam_exp.config.schema import check
from medsam_exp.metrics.overlap import dice
from medsam_exp.types import Sample, UserError
from tests.compose import composed

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
    wide = np.zeros((SIDE * 2, SIDE * 4), bool)
    wide[30:91, 40:101] = True
    data = scans(1)
    data.read_ground_truth = lambda _: wide
    data.read_image = lambda _: np.repeat(wide[..., None], 3, axis=2).astype(np.uint8) * 200
    assert write_small_copy(data, tmp_path, "other") == ["scan_0"]
    mask = np.asarray(Image.open(tmp_path / "other_masks" / "scan_0.png"))
    image = np.asarray(Image.open(tmp_path / "other_images" / "scan_0.png"))
    assert mask.shape == image.shape[:2] == (SIDE // 2, SIDE)
    blocks = wide.reshape(SIDE // 2, 4, SIDE, 4).mean((1, 3))
    np.testing.assert_array_equal(mask > 0, blocks >= 0.5)
    np.testing.assert_allclose(image[..., 0], blocks * 200, atol=1)


def test_rows_get_both_folders_and_a_second_round_gets_the_network() -> None:
    given = {row: options_of(row, Path("one"), Path("two"), "net") for row in ROWS}
    assert given[PLAIN] == ["weak_label=folder", "weak_label.root=one", "weak_label.second=two"]
    assert given["true masks"] == ["weak_label=ground_truth"]
    earlier = [row for row, options in given.items() if "ensemble.results=net" in options]
    assert earlier == ["second round", "second round, unsure"]
    assert not any("weak_label=folder" in given[row] for row in earlier)


@pytest.mark.parametrize("row", ROWS)
def test_rows_are_runs_that_work(row: str, tmp_path: Path) -> None:
    write_small_copy(scans(1), tmp_path, SCORED)
    options = options_of(row, tmp_path, tmp_path, str(tmp_path))
    cfg = check(composed(*COMMON, f"data.root={tmp_path}", f"data.split={SCORED}", STAGES, *options))
    assert cfg.data.split == SCORED


def trained(seeds: int) -> Trained:
    generator = np.random.default_rng(seeds)
    scores = [
        {f"scan_{n}": generator.random(len(THRESHOLDS)).tolist() for n in range(6)} for _ in range(seeds)
    ]
    return Trained(scores, [0.5, 1.0])


def test_a_threshold_is_chosen_on_val_and_compared_on_test() -> None:
    rows = {PLAIN: trained(3), "border": trained(1), "dice_gce": trained(2)}
    splits = {"val": ["scan_4", "scan_0"], "test": ["scan_1", "scan_2", "scan_3", "scan_5"]}
    found = figures_of(rows, splits)
    tuned: dict[str, list[list[float]]] = {}
    for row in rows:
        tuned[row] = []
        for seed in rows[row].scores:
            means = [seed["scan_4"][at] + seed["scan_0"][at] for at in range(len(THRESHOLDS))]
            tuned[row].append([seed[name][means.index(max(means))] for name in splits["test"]])
        for split, names in splits.items():
            half = [[seed[name][9] for name in names] for seed in rows[row].scores]
            assert found[row][split]["mean"] == pytest.approx(np.mean(half))
            assert found[row][split]["seeds"] == pytest.approx(np.mean(half, axis=1))
        assert found[row][TUNED]["mean"] == pytest.approx(np.mean(tuned[row]))
        same = np.mean(tuned[PLAIN][: len(tuned[row])])
        assert found[row][DIFFERENCE]["mean"] == pytest.approx(np.mean(tuned[row]) - same)
    assert THRESHOLDS[9] == 0.5
    assert found[PLAIN][DIFFERENCE]["mean"] == 0
    assert found["border"]["labels"]["mean"] == 0.75


def test_labels_are_compared_where_they_are_known(tmp_path: Path) -> None:
    label = np.zeros(DISC.shape, np.uint8)
    label[:, :40] = DISC[:, :40]
    (tmp_path / "labelsTr").mkdir()
    for ignore in (None, 2):
        values = label if ignore is None else np.where(np.indices(DISC.shape)[1] >= 40, ignore, label)
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / "labelsTr" / "case_0.png")
        labels = {"background": 0, "target": 1} | ({} if ignore is None else {"ignore": ignore})
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
        (tmp_path / "cases.json").write_text(json.dumps({"case_0": "scan_0"}))
        (found,) = label_overlap(tmp_path, scans(1))
        half = DISC[:, :40].sum()
        assert found == (1.0 if ignore else pytest.approx(2 * half / (half + DISC.sum())))


def test_a_second_round_gets_the_network_of_the_wrong_labels_of_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def run(options: Sequence[str], folder: Path) -> None:
        asked.append((str(folder.relative_to(tmp_path)), [*options]))
        folder.mkdir(parents=True)
        name = f"network of {asked[-1][0]}"
        labels = {"weak_label": {"results": name, "raw_dataset": name}}
        (folder / "summary.json").write_text(json.dumps({"weak_labels": labels}))

    monkeypatch.setattr(collect, "run", run)
    monkeypatch.setattr(collect, "label_overlap", lambda raw, _: [str(raw)])
    monkeypatch.setattr(collect, "FOLDER", tmp_path)
    monkeypatch.setattr(collect, "dsc_by_threshold", lambda folder, _: {"a": [folder.name]})
    truths = {"train": scans(1), SCORED: scans(1)}
    found = collect.train("data.root=small", truths, Path("one"), Path("two"))
    assert list(found) == list(ROWS)
    assert found["true masks"].scores[0] == {"a": ["true_masks"]}
    assert {row: len(each.scores) for row, each in found.items()} == {
        row: len(each.seeds) for row, each in ROWS.items()
    }
    assert len(dict(asked)) == len(asked) == sum(len(row.seeds) for row in ROWS.values())
    rounds = [(name, options) for name, options in asked if "second_round" in name]
    assert len(rounds) == 2
    for name, options in rounds:
        assert f"ensemble.results=network of {name.split('/')[0]}/wrong_labels" in options
    assert all("data.root=small" in options for _, options in asked)


def test_a_run_whose_maps_are_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[]")
    with pytest.raises(
        UserError, match=r"keys\.json names no record of .*nnunet_single that has all 2 images"
    ):
        collect.dsc_by_threshold(tmp_path, scans(2))
