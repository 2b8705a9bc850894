import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from medsam_exp.report.web.simplify import kept_points


def walks(seed: int) -> list[NDArray[np.float64]]:
    """Lines of 1 to 300 points, one of them closed and one that stands still."""
    generator = np.random.default_rng(seed)
    lines = [generator.normal(size=(count, 2)).cumsum(0) for count in (1, 2, 3, 40, 300)]
    return [*lines, np.append(lines[-2], lines[-2][:1], axis=0), np.zeros((5, 2))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tolerance", [0.3, 2.0, 1e6])
def test_many_lines_at_once_are_as_each_by_itself(seed: int, tolerance: float) -> None:
    lines = walks(seed)
    lengths = np.array([len(line) for line in lines])
    kept = np.split(kept_points(np.concatenate(lines), lengths, tolerance), np.cumsum(lengths)[:-1])
    for line, stays in zip(lines, kept, strict=True):
        np.testing.assert_array_equal(line[stays], approximate_polygon(line, tolerance))
