"""The study: effects against plain loops, an honest choice, and a page that holds what is committed."""

import itertools
from statistics import mean

import numpy as np
import pytest
import scipy

from experiments.reproduce.plan import read_table
from experiments.study.analysis import (
    Setting,
    corrected_together,
    honest_choice,
    main_effects,
)
from experiments.study.page import CONTROLS, DEFAULT, HERE, MEASURED, TITLES, written

LEVELS = (("short", "long"), ("m2ib", "gradcam", "control"), ("box", "points"))
FIRST = ("short", "m2ib", "box")


def drawn(images: int, seed: int = 0) -> dict[Setting, dict[str, float]]:
    generator = np.random.default_rng(seed)
    return {
        setting: {f"scan_{number}": float(generator.random()) for number in range(images)}
        for setting in itertools.product(*LEVELS)
    }


def test_an_effect_is_the_mean_over_the_other_levels_but_controls() -> None:
    scores = drawn(9)
    effects = main_effects(scores, ("text", "map", "prompt"), FIRST, {"control"})
    assert [(one.factor, one.level) for one in effects] == [
        ("text", "long"),
        ("map", "gradcam"),
        ("map", "control"),
        ("prompt", "points"),
    ]
    by_image = []
    for name in sorted(scores[FIRST]):
        long = [
            scores["long", shown, asked][name] for shown in ("m2ib", "gradcam") for asked in ("box", "points")
        ]
        short = [
            scores["short", shown, asked][name]
            for shown in ("m2ib", "gradcam")
            for asked in ("box", "points")
        ]
        by_image.append(sum(long) / 4 - sum(short) / 4)
    assert effects[0].difference == pytest.approx(mean(by_image))
    assert effects[0].p == pytest.approx(scipy.stats.wilcoxon(by_image).pvalue)
    assert effects[0].n == 9
    control = [
        mean(scores[text, "control", asked][name] for text, asked in itertools.product(LEVELS[0], LEVELS[2]))
        for name in scores[FIRST]
    ]
    assert effects[2].mean == pytest.approx(mean(control))


def test_all_effects_are_corrected_for_their_number() -> None:
    effects = main_effects(drawn(12), ("text", "map", "prompt"), FIRST)
    corrected = corrected_together(effects)
    smallest = min(effects, key=lambda one: one.p)
    assert corrected[effects.index(smallest)].corrected == pytest.approx(min(1, len(effects) * smallest.p))
    assert [one.p for one in corrected] == [one.p for one in effects]


def test_images_that_choose_a_setting_do_not_score_it() -> None:
    """Pure noise: the best of many looks good where it was chosen, and is nothing on other images."""
    names = [f"{number:03d}" for number in range(200)]
    generator = np.random.default_rng(1)
    scores = {(str(number),): dict(zip(names, generator.random(200), strict=True)) for number in range(300)}
    choice = honest_choice(scores, ("0",))
    assert choice.seen > 0.55
    assert choice.honest == pytest.approx(0.5, abs=0.05)
    halves = names[::2], names[1::2]
    bests = [max(scores, key=lambda setting: mean(scores[setting][name] for name in half)) for half in halves]
    other = [scores[bests[1]][name] for name in halves[0]] + [scores[bests[0]][name] for name in halves[1]]
    assert choice.honest == pytest.approx(mean(other))


def test_images_of_a_patient_choose_or_score_together() -> None:
    names = [f"{patient}_{number}" for patient in range(8) for number in range(3)]
    patients = {name: name.partition("_")[0] for name in names}
    scores = {
        (level,): {name: float(int(patients[name]) % 2 == place) for name in names}
        for place, level in enumerate(("even", "odd"))
    }
    # Each half consists of patients that one setting finds; so what one half chooses fails on the other.
    assert honest_choice(scores, ("even",), patients).honest == 0


def test_the_page_holds_what_is_committed() -> None:
    page = HERE / "README.md"
    assert page.read_text() == written(page)
    assert MEASURED.is_file()


@pytest.mark.parametrize("scale", TITLES)
def test_default_and_controls_are_levels_of_the_study(scale: str) -> None:
    axes = read_table("study", scale).sweeps[0].grid.axes
    assert all(
        level in axes[axis] for axis, level in zip(("text", "saliency", "prompt"), DEFAULT, strict=True)
    )
    assert set(CONTROLS) <= {*axes["saliency"], *axes["prompt"]}
