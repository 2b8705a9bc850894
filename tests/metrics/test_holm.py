import itertools

import numpy as np
import pytest

from medsam_exp.metrics.paired import holm


def by_closed_testing(p_values: list[float]) -> list[float]:
    """Slow and obvious: a hypothesis falls if Bonferroni rejects every set of hypotheses that it is in."""
    everyone = range(len(p_values))
    sets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(everyone, size)]
    return [max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets if own in s) for own in everyone]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_equals_closed_testing_with_bonferroni(count: int) -> None:
    generator = np.random.default_rng(count)
    for _ in range(20):
        p_values = list(generator.choice([0.0, 0.004, 0.01, 0.02, 0.3, 0.3, 1.0], count))
        assert holm(p_values) == pytest.approx(by_closed_testing(p_values), abs=1e-15)


def test_a_textbook_case_and_none() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
