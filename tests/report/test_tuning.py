"""A search's trials for readers: best first, failures last with their reason, and a picture of every kind of number."""

from typing import Any

import pytest

from medsam_exp.report.figures.tuning import tuning_figure
from medsam_exp.report.topics.tuning import _trial_rows, _tuning_sentences, tuning_section
from tests.report.conftest import values


def score(mean: float) -> dict[str, Any]:
    return {"mean": mean, "std": 0.1, "ci95": [mean - 0.05, mean + 0.05], "n": 4}


def tuning(metric: str, best: int, *means: float | None, values: list[Any] | None = None) -> dict[str, Any]:
    trials = [
        {
            "values": {"saliency.beta": (values or [0.1, 0.3, 1.0])[number]},
            "score": None if mean is None else score(mean),
            "error": "out of memory" if mean is None else None,
        }
        for number, mean in enumerate(means)
    ]
    facts = {"data": "busi", "split": "val", "images": 4, "metric": metric, "files": ["conf/tuned/a.yaml"]}
    return {**facts, "best": trials[best], "trials": trials}


def test_the_best_trial_stands_first_and_failures_last() -> None:
    lines = _trial_rows(tuning("coarse/dsc", 2, 0.2, None, 0.5))
    assert [line.label for line in lines] == ["saliency.beta=1", "saliency.beta=0.1", "saliency.beta=0.3"]
    assert [values(line)[2] for line in lines] == ["chosen", "", "failed: out of memory"]
    assert values(lines[0])[0] == "0.500 ± 0.100"


def test_trials_that_stopped_early_stand_between_the_others_and_the_failures() -> None:
    search = tuning("coarse/dsc", 0, 0.5, 0.9, None, values=[0.1, 0.3, 1.0])
    search["trials"][1] |= {"stopped": True, "score": score(0.9) | {"n": 2}}
    lines = _trial_rows(search)
    remarks = [values(line)[2] for line in lines]
    assert remarks == ["chosen", "stopped after 2 of 4 images", "failed: out of memory"]
    assert "of 3 trials (1 stopped early) on 4 images" in _tuning_sentences(search)[0]
    labels = [text.get_text() for text in tuning_figure(search, "DSC").legends[0].get_texts()]
    assert labels == ["chosen", "other trials", "stopped early, on fewer images"]


def test_of_a_distance_the_smallest_stands_first() -> None:
    lines = _trial_rows(tuning("sam/hd95_px", 0, 12.0, 30.0, None))
    assert [line.label for line in lines] == ["saliency.beta=0.1", "saliency.beta=0.3", "saliency.beta=1"]


def test_the_sentences_name_the_masks_that_were_read() -> None:
    first, second = _tuning_sentences(tuning("coarse/dsc", 1, 0.2, 0.5))
    assert first.startswith("Best coarse mask DSC of 2 trials on 4 images of busi (val): saliency.beta=0.3.")
    assert first.endswith("Their masks were read, so these images cannot score these numbers.")
    assert "conf/tuned/a.yaml" in second
    without, _ = _tuning_sentences(tuning("sam/text_match", 1, -0.2, 0.5))
    assert "Best SAM mask Text match of 2 trials" in without
    assert "masks were read" not in without
    assert "No mask was read" in without
    assert tuning_section({"metrics": {}}) is None


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (None, "linear"),
        (["box", None, "point"], "linear"),
        ([10.0**k for k in range(-5, 5)], "log"),
        (list(range(10)), "linear"),
    ],
    ids=["few", "words", "many over decades", "many"],
)
def test_the_picture_shows_every_scored_trial_and_marks_the_chosen_one(
    values: list[Any] | None, scale: str
) -> None:
    count = len(values or [0.1, 0.3, 1.0])
    means = [0.1 + 0.01 * number for number in range(count - 1)]
    figure = tuning_figure(tuning("coarse/dsc", count - 2, *means, None, values=values), "DSC")
    [axes] = figure.axes
    assert axes.get_xscale() == scale
    assert len(axes.containers) == count - 1
    assert [container[0].get_marker() for container in axes.containers][-1] == "D"
    figure.canvas.draw()
