"""The study of scores without true masks: its figures against plain loops, its page, its grids."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from experiments.tuning_without_masks import collect
from experiments.tuning_without_masks.choice import judge, spearman
from experiments.tuning_without_masks.collect import HERE, main, written
from experiments.tuning_without_masks.grids import COMMON, DEFAULTS, DRAWN, LATER, METHODS, OWN_SAM, REAL
from medsam_exp.config.schema import check
from medsam_exp.sweep.identity import plan_sweep
from tests.compose import composed


def values(seed: int, settings: int = 9, images: int = 7) -> np.ndarray:
    """Scores with ties."""
    return np.random.default_rng(seed).integers(0, 12, (settings, images)) / 12


def test_rank_correlation_is_that_of_scipy() -> None:
    first, second = values(0), values(1)
    found = spearman(first.T, second.T)
    assert found == pytest.approx([spearmanr(a, b).statistic for a, b in zip(first.T, second.T, strict=True)])
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_figures_and_intervals_are_those_of_plain_loops() -> None:
    score, dsc, default = values(2), values(3), 4
    some = np.arange(9) % 2 == 0
    found = judge(score, dsc, some, default, seed=5)
    drawn = np.random.default_rng(5).integers(7, size=(2_000, 7))
    rows: list[tuple[float, float, float]] = []
    for images in ([*range(7)], *drawn.tolist()):
        means = [sum(score[setting, image] for image in images) / 7 for setting in range(9)]
        true = [sum(dsc[setting, image] for image in images) / 7 for setting in range(9)]
        chosen = int(np.argmax([score[setting, images].mean() for setting in range(9)]))
        assert means[chosen] == pytest.approx(max(means))
        rows.append(
            (
                spearmanr(np.round(means, 9), np.round(true, 9)).statistic,
                max(true) - true[chosen],
                true[chosen] - true[default],
            )
        )
    for place, figure in enumerate((found.spearman, found.regret, found.gain)):
        assert figure["mean"] == pytest.approx(rows[0][place])
        expected = np.percentile([row[place] for row in rows[1:]], (2.5, 97.5))
        assert figure["ci95"] == pytest.approx(expected, abs=0.02)
    among = spearmanr(np.round(score[some].mean(axis=1), 9), np.round(dsc[some].mean(axis=1), 9)).statistic
    assert found.not_empty["mean"] == pytest.approx(among)
    each = [spearmanr(score[:, image], dsc[:, image]).statistic for image in range(7)]
    assert found.per_image == {"mean": pytest.approx(np.mean(each)), "n": 7}


def test_the_truth_chooses_best_and_its_opposite_worst() -> None:
    dsc = values(3)
    means, every = dsc.mean(axis=1), np.ones(9, bool)
    best, worst = judge(dsc, dsc, every, 0), judge(-dsc, dsc, every, 0)
    assert (best.spearman["mean"], worst.spearman["mean"]) == pytest.approx((1, -1))
    assert (best.regret["mean"], worst.regret["mean"]) == pytest.approx((0, np.ptp(means)))
    assert best.gain["mean"] == pytest.approx(means.max() - means[0])
    constant = judge(np.zeros_like(dsc), dsc, every, 0)
    assert constant.spearman == {"mean": None, "ci95": None}
    assert constant.per_image == {"mean": None, "n": 0}


def test_the_page_has_the_committed_figures() -> None:
    page = HERE / "README.md"
    assert page.read_text() == written(page)


@pytest.mark.parametrize("name", DRAWN)
def test_every_setting_can_run_and_the_default_is_one(name: str) -> None:
    images, axes = DRAWN[name]
    settings = []
    for later in LATER[axes]:
        plan = plan_sweep({}, [*images, *axes, *later, *COMMON])
        fixed = dict(option.split("=", 1) for option in later if "," not in option)
        settings += [fixed | job for job in plan.jobs]
        for job in itertools.islice(plan.jobs, 0, None, 17):
            check(composed(*plan.fixed, *(f"{key}={value}" for key, value in job.items())))
    assert [each for each in settings if DEFAULTS[axes].items() <= each.items()]


def test_grids_are_measured_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def measure(grid: tuple[tuple[str, ...], tuple[str, ...]], _: Path) -> dict[str, object]:
        assert grid[1] == METHODS
        asked.append(grid[0])
        return {"scores": {}}

    monkeypatch.setattr(collect, "measure", measure)
    monkeypatch.setattr(collect, "table", lambda _: [])
    monkeypatch.setattr(collect, "_missed", lambda *_: [])
    sam = tmp_path / "sam.safetensors"
    main(["--root", str(tmp_path), "--sam", str(sam), "--grid", OWN_SAM, "--grid", REAL])
    own, embedded = asked
    assert f"sam.checkpoint={sam}" in own
    assert set(own) - set(embedded) == {f"sam.checkpoint={sam}"}
    with pytest.raises(SystemExit, match="is none of 'drawn ultrasound, numbers of M2IB'"):
        main(["--grid", OWN_SAM])
