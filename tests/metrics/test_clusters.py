"""Images of one patient in intervals and tests."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr, ttest_1samp

from medsam_exp.metrics.by_class import _summarise_over_classes, breakdown, over_images
from medsam_exp.metrics.clusters import draws, interval
from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.metrics.presence import presence_figures
from medsam_exp.metrics.summary import summarise
from medsam_exp.nnunet.uncertainty.quality import _weighted_pearson, _weighted_ranks, correlations

SIZES = (4, 1, 3, 6, 2, 5, 3)
PATIENTS = [f"p{number}" for number, size in enumerate(SIZES) for _ in range(size)]
VALUES = np.random.default_rng(0).normal(np.repeat(np.linspace(0, 0.6, 7), SIZES), 0.05)


def studies(patients: int, slices: int, count: int) -> list[tuple[list[float], list[str]]]:
    """Made-up studies of true mean 0: patients deviate by 0.05, their images by 0.03."""
    generator = np.random.default_rng(1)
    names = [f"p{number}" for number in range(patients) for _ in range(slices)]
    return [
        (
            (
                generator.normal(0, 0.05, patients).repeat(slices) + generator.normal(0, 0.03, len(names))
            ).tolist(),
            names,
        )
        for _ in range(count)
    ]


def covers(bounds: Sequence[float] | None) -> bool:
    assert bounds is not None
    return bounds[0] <= 0 <= bounds[1]


def test_intervals_by_patient_cover_the_truth_and_those_of_images_do_not() -> None:
    """18 patients with 30 slices each; 200 studies tell 95 % from 34 %."""
    found = studies(18, 30, 200)
    by_patient = [covers(summarise(own, clusters=names)["ci95"]) for own, names in found]
    assert 0.92 <= np.mean(by_patient) <= 0.975
    assert np.mean([covers(summarise(own)["ci95"]) for own, _ in found[:25]]) < 0.6


def test_tests_by_patient_seldom_call_equal_methods_different() -> None:
    found = [compare_pairs([0.0] * len(own), own, clusters=names) for own, names in studies(8, 20, 200)]
    assert np.mean([(each.wilcoxon_p or 0) < 0.05 for each in found]) <= 0.07
    assert np.mean([(each.t_p or 0) < 0.05 for each in found]) <= 0.08
    alone = [compare_pairs([0.0] * len(own), own) for own, _ in studies(8, 20, 25)]
    assert np.mean([(each.wilcoxon_p or 0) < 0.05 for each in alone]) > 0.3


def test_the_wilcoxon_test_by_patient_counts_the_signs_of_whole_patients() -> None:
    """The slow way: ranks of all differences that are not 0, and all 2^7 choices of the patients' signs."""
    differences = [*np.round(VALUES - 0.25, 2).tolist()]
    differences[3] = 0.0
    sizes = sorted({abs(own) for own in differences if own})
    places = {
        size: [i for i, own in enumerate(sorted(filter(None, map(abs, differences)))) if own == size]
        for size in sizes
    }
    ranks = [np.sign(own) * (np.mean(places[abs(own)]) + 1) if own else 0.0 for own in differences]
    seen, sums = abs(sum(ranks)), []
    for signs in product((-1, 1), repeat=7):
        sign_of = dict(zip(dict.fromkeys(PATIENTS), signs, strict=True))
        sums.append(abs(sum(sign_of[name] * rank for name, rank in zip(PATIENTS, ranks, strict=True))))
    found = compare_pairs([0.0] * len(differences), differences, clusters=PATIENTS)
    assert found.wilcoxon_p == pytest.approx(np.mean([total >= seen - 1e-9 for total in sums]))
    means = [
        np.mean([own for own, name in zip(differences, PATIENTS, strict=True) if name == p])
        for p in dict.fromkeys(PATIENTS)
    ]
    assert found.t_p == pytest.approx(ttest_1samp(means, 0).pvalue)
    assert (found.n, found.patients, found.difference) == (24, 7, pytest.approx(np.mean(differences)))


def test_with_many_patients_the_sum_of_ranks_is_nearly_normal() -> None:
    own, names = studies(26, 3, 1)[0]
    found = compare_pairs([0.0] * len(own), (np.array(own) + 0.015).tolist(), clusters=names)
    differences = np.array(own) + 0.015
    ranks = (np.argsort(np.argsort(np.abs(differences))) + 1) * np.sign(differences)
    by_patient = ranks.reshape(26, 3).sum(1)
    signs = np.random.default_rng(0).choice((-1, 1), (40000, 26))
    share = np.mean(np.abs(signs @ by_patient) >= abs(by_patient.sum()))
    assert found.wilcoxon_p == pytest.approx(share, abs=0.01)


def test_one_image_a_patient_changes_nothing_but_the_count() -> None:
    a, b = np.random.default_rng(2).random((2, 12)).tolist()
    names = [f"p{number}" for number in range(12)]
    assert summarise(a, 3, names) == {**summarise(a, 3), "patients": 12}
    by_patient, by_image = compare_pairs(a, b, 3, names), compare_pairs(a, b, 3)
    assert by_patient.patients == 12
    assert {**vars(by_patient), "patients": None} == vars(by_image)
    present = np.arange(12) % 2 == 0
    for name, figure in presence_figures(np.array(a), present, 3, names).items():
        assert figure == {**presence_figures(np.array(a), present, 3)[name], "patients": 12}
    assert correlations(a, b, 3, names)["pearson"] == {
        **(correlations(a, b, 3)["pearson"] or {}),
        "patients": 12,
    }


def test_neither_the_order_of_images_nor_the_names_of_patients_matter() -> None:
    order = np.random.default_rng(3).permutation(len(VALUES))
    renamed = [f"q{9 - int(PATIENTS[i][1:])}" for i in order]
    assert summarise(VALUES[order].tolist(), 4, renamed) == summarise(VALUES.tolist(), 4, PATIENTS)


def test_the_interval_is_that_of_all_patients_drawn() -> None:
    """Slow bootstrap: all images of the patients drawn, at Hesterberg's percentiles for 7 patients."""
    generator, parts = np.random.default_rng(9), np.split(VALUES, np.cumsum(SIZES)[:-1])
    means = [np.concatenate([parts[i] for i in generator.integers(7, size=7)]).mean() for _ in range(4000)]
    summary = summarise(VALUES.tolist(), 0, PATIENTS)
    assert summary["ci95"] == pytest.approx(np.quantile(means, (0.00411, 0.99589)), abs=0.03)
    assert summary["mean"] == pytest.approx(VALUES.mean())
    assert (summary["n"], summary["patients"]) == (24, 7)


@pytest.mark.parametrize("patients", [1, 2, 5])
def test_few_patients_have_no_interval(patients: int) -> None:
    names = [f"p{number % patients}" for number in range(20)]
    found = compare_pairs([0.0] * 20, VALUES[:20].tolist(), clusters=names)
    assert found.ci95 is None
    assert f"{patients} patients are too few for a 95 % interval, which takes 6" in found.remarks
    assert "too few for the Wilcoxon test by patient" in found.remarks[0]
    assert presence_figures(VALUES[:20], np.arange(20) % 3 == 0, 0, names)["auc"]["ci95"] is None
    assert interval(np.zeros(10), 9) is None


def test_images_of_one_patient_widen_the_intervals_of_other_figures() -> None:
    generator = np.random.default_rng(5)
    names = [f"p{number}" for number in range(12) for _ in range(8)]
    own = generator.normal(size=12).repeat(8)
    x = own + 0.1 * generator.normal(size=96)
    y = own + generator.normal(size=12).repeat(8)
    present = np.arange(12).repeat(8) % 2 == 0
    for measure in (
        lambda clusters: correlations(x, y, 0, clusters)["spearman"],
        lambda clusters: presence_figures(1 / (1 + np.exp(-x)), present, 0, clusters)["auc"],
    ):
        alone, together = measure(None), measure(names)
        assert alone is not None
        assert together is not None
        assert np.ptp(together["ci95"]) > 1.5 * np.ptp(alone["ci95"])
        assert together["patients"] == 12


def test_the_mean_over_classes_draws_patients_with_their_images_of_all_classes() -> None:
    """Each patient deviates equally in both classes: the means of two classes are no surer than one's."""
    generator = np.random.default_rng(6)
    own = generator.normal(0, 0.1, 15)
    values = {name: (own + generator.normal(0, 0.001, 15)).tolist() for name in ("cyst", "tumour")}
    names = [f"p{number}" for number in range(15)]
    one = np.ptp(summarise(values["cyst"], 0)["ci95"])
    alone = _summarise_over_classes(values, 0)["ci95"]
    together = _summarise_over_classes(values, 0, {"cyst": names, "tumour": names})["ci95"]
    assert np.ptp(alone) < 0.8 * one < 0.9 * np.ptp(together)
    assert _summarise_over_classes(values, 0, {"cyst": names, "tumour": ["p0"] * 15})["ci95"] is None


def test_samples_of_one_image_go_together_where_patients_are_unknown() -> None:
    images = {f"s{number}@{kind}": f"s{number}" for number in range(8) for kind in "ab"}
    scores = {name: {"sam/dsc": 0.1 * int(name[1]) + 0.01 * (name[-1] == "a")} for name in images}
    classes = {name: name[-1] for name in images}
    together, alone = (breakdown(scores, classes, 0, images=known) for known in (images, None))
    assert "patients" not in together["macro"]["sam/dsc"]
    assert together["by_class"] == alone["by_class"]
    assert np.ptp(together["macro"]["sam/dsc"]["ci95"]) > np.ptp(alone["macro"]["sam/dsc"]["ci95"])
    patients = {name: f"p{int(name[1]) // 2}" for name in images}
    figure = over_images(scores, images, 0, patients)["sam/dsc"]
    assert (figure["n"], figure["patients"], figure["ci95"]) == (8, 4, None)
    assert breakdown(scores, classes, 0, patients, images)["macro"]["sam/dsc"]["patients"] == 4


def test_a_correlation_by_patient_is_that_of_all_images_of_the_patients_drawn() -> None:
    """The slow way: images repeated as often as their patients are drawn, ties and all."""
    x, y = np.round(VALUES, 1), np.round(VALUES + np.random.default_rng(8).normal(0, 0.2, 24), 1)
    members = np.array([int(name[1:]) for name in PATIENTS])
    often = next(draws(7, np.random.default_rng(0)))[:5, members]
    ranks = [_weighted_ranks(values, often) for values in (x, y)]
    repeated = [np.arange(24).repeat(row.astype(int)) for row in often]
    assert _weighted_pearson(*ranks, often) == pytest.approx(
        [spearmanr(x[i], y[i]).statistic for i in repeated]
    )
    plain = [np.broadcast_to(values, often.shape) for values in (x, y)]
    assert _weighted_pearson(*plain, often) == pytest.approx(
        [pearsonr(x[i], y[i]).statistic for i in repeated]
    )
