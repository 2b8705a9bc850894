"""The veto's threshold, and what it does without a score."""

import pytest

from medsam_exp.config.build import build
from medsam_exp.types import UserError
from tests.compose import composed


def test_no_veto_needs_no_score() -> None:
    assert not build(composed("veto=none").veto)(None)


def test_the_threshold_itself_is_kept() -> None:
    veto = build(composed("veto=presence", "veto.threshold=0.3").veto)
    assert not veto(0.3)
    assert veto(0.2999999)
    assert not build(composed("veto=presence", "veto.threshold=0").veto)(0.0)


def test_a_veto_without_a_score_is_an_error_and_not_a_silent_no() -> None:
    with pytest.raises(ValueError, match="presence score"):
        build(composed("veto=presence").veto)(None)


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match=r"veto\.threshold"):
        build(composed("veto=presence", f"veto.threshold={threshold}").veto)
