import numpy as np

from medsam_exp.metrics.places import bounding_box, places


def test_box_and_places_of_random_masks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random(rng.integers(1, 9, 2)) < 0.1
        where = np.argwhere(mask)
        np.testing.assert_array_equal(places(mask), where)
        rows, columns = bounding_box(mask)
        if len(where):
            assert (rows.start, columns.start) == tuple(where.min(0))
            assert (rows.stop, columns.stop) == tuple(where.max(0) + 1)
        else:
            assert mask[rows, columns].size == 0
