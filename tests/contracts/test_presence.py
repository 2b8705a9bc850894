"""Every choice of conf/presence: a number in [0, 1] that rises with the match of image and text."""

import numpy as np
import pytest

from medsam_exp.config.build import build, weight_files
from medsam_exp.masks.presence.features import FEATURES
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "presence").glob("*.yaml"))
NOTHING, FULL = dict.fromkeys(FEATURES, 0.0), dict.fromkeys(FEATURES, 1.0)
EXTREME = ({**NOTHING, "match": -1.0, "over_absence": -2.0}, {**FULL, "relevance_total": 1e9, "match": 1.0})


@pytest.fixture(params=CHOICES)
def scorer(request: pytest.FixtureRequest):
    return build(composed(f"presence={request.param}").presence)


@pytest.mark.parametrize("features", [NOTHING, FULL, *EXTREME])
def test_it_is_a_share_of_one_for_any_features(scorer, features: dict[str, float]) -> None:
    score = scorer(features)
    assert isinstance(score, float)
    assert 0 <= score <= 1
    assert scorer(dict(reversed(features.items()))) == score


def test_a_better_match_never_scores_lower(scorer) -> None:
    rising = [
        scorer({**NOTHING, "match": m, "over_absence": m, "over_nonsense": m, "share": (m + 1) / 2})
        for m in np.linspace(-1, 1, 21)
    ]
    assert rising == sorted(rising)
    assert rising[0] < rising[-1]


def test_it_names_texts_to_contrast_with(scorer) -> None:
    assert scorer.absence_texts
    assert scorer.nonsense_texts
    assert isinstance(scorer.absence_texts, tuple)


@pytest.mark.parametrize("choice", CHOICES)
def test_files_that_decide_it_exist(choice: str) -> None:
    assert all(path.is_file() for path in weight_files(composed(f"presence={choice}").presence))
