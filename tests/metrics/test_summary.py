import math
import statistics
from functools import partial

import numpy as np
import pytest
from scipy.stats import bootstrap

from medsam_exp.metrics.clusters import resamples
from medsam_exp.metrics.summary import summarise, summarise_each


def test_equals_the_definitions() -> None:
    values = np.random.default_rng(0).beta(2, 5, 60).tolist()
    summary = summarise(values, seed=3)
    assert summary["mean"] == pytest.approx(statistics.fmean(values))
    assert summary["std"] == pytest.approx(statistics.stdev(values))
    assert summary["n"] == 60
    resampler = np.random.default_rng(99)
    means = sorted(statistics.fmean(resampler.choice(values, 60)) for _ in range(4000))
    tenth_of_width = 0.1 * (means[3900] - means[99])
    assert summary["ci95"] == pytest.approx([means[99], means[3899]], abs=tenth_of_width)


@pytest.mark.parametrize("count", [2, 7, 24, 6000])
def test_the_interval_is_that_of_scipys_percentile_bootstrap(count: int) -> None:
    values = np.sort(np.random.default_rng(count).beta(2, 5, count))
    rng = np.random.default_rng(3)
    expected = bootstrap(
        (values,), np.mean, n_resamples=2000, method="percentile", batch=10_000_000 // count, rng=rng
    )
    found = summarise(values.tolist(), seed=3)["ci95"]
    assert found == pytest.approx(list(expected.confidence_interval), rel=1e-12)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [summarise(rng.normal(0.5, 0.1, 40).tolist(), seed=seed)["ci95"] for seed in range(300)]
    covered = np.mean([low <= 0.5 <= high for low, high in intervals])
    assert 0.89 < covered < 0.98


def test_depends_on_seed_but_not_on_order() -> None:
    values = np.random.default_rng(2).random(30)
    assert summarise(values.tolist(), 5) == summarise(values[::-1].tolist(), 5)
    assert summarise(values.tolist(), 5)["ci95"] != summarise(values.tolist(), 6)["ci95"]


def test_same_bits_however_many_values_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random(101).tolist()
    expected = summarise(values, 5)
    for numbers in (1, 1000, 150_000):
        in_blocks = partial(resamples, numbers_at_once=numbers)
        monkeypatch.setattr("medsam_exp.metrics.summary.resamples", in_blocks)
        assert summarise(values, 5) == expected


def test_one_image_and_equal_images() -> None:
    assert summarise([0.25]) == {"mean": 0.25, "std": 0.0, "ci95": None, "n": 1}
    assert summarise([0.5] * 7) == {"mean": 0.5, "std": 0.0, "ci95": None, "n": 7}


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf, 1.0]])
def test_nothing_missing_is_dropped_silently(values: list[float]) -> None:
    with pytest.raises(ValueError, match="cannot summarise"):
        summarise(values)


def test_measures_that_share_resamples_have_the_figures_of_each_alone() -> None:
    generator = np.random.default_rng(0)
    columns = {
        "a": generator.random(9),
        "b": generator.random(9),
        "same": np.ones(9),
        "few": generator.random(4),
    }
    columns |= {"patients": generator.random(12)}
    patients = dict.fromkeys(columns) | {"patients": [str(number // 2) for number in range(12)]}
    alone = {name: summarise(column.tolist(), 5, patients[name]) for name, column in columns.items()}
    assert summarise_each({name: column.tolist() for name, column in columns.items()}, 5, patients) == alone
