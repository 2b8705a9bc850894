"""Which snapshots are kept: the paper's thirty, the last epoch always among them."""

import itertools

import pytest

from medsam_exp.nnunet.snapshots import snapshot_epochs
from medsam_exp.types import UserError


def test_the_papers_thirty_end_with_each_cycle() -> None:
    """The released code keeps 189 to 198 and so on, and never an epoch at a cycle's end."""
    expected = [*range(190, 200), *range(390, 400), *range(590, 600)]
    assert snapshot_epochs(600, 3, late=10, sparse=0) == tuple(expected)


def test_sparse_ones_are_evenly_spaced_over_the_rest_of_each_cycle() -> None:
    assert snapshot_epochs(60, 3, late=5, sparse=3) == (
        *(4, 9, 14, 15, 16, 17, 18, 19),
        *(24, 29, 34, 35, 36, 37, 38, 39),
        *(44, 49, 54, 55, 56, 57, 58, 59),
    )
    assert snapshot_epochs(20, 1, late=0, sparse=2) == (9, 19)
    assert snapshot_epochs(1, 1, late=1, sparse=0) == (0,)


def test_every_possible_choice_is_distinct_sorted_complete_and_even() -> None:
    for length, cycles in itertools.product(range(1, 13), (1, 2, 3)):
        for late, sparse in itertools.product(range(length + 1), repeat=2):
            if not 0 < late + sparse <= length:
                continue
            kept = snapshot_epochs(length * cycles, cycles, late, sparse)
            assert len(kept) == cycles * (late + sparse)
            assert list(kept) == sorted(set(kept))
            assert kept[0] >= 0
            assert kept[-1] == length * cycles - 1
            gaps = {b - a for a, b in itertools.pairwise((-1, *kept[:sparse]))}
            assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("late", "sparse", "sentence"),
    [
        (4, 7, "late=4 and sparse=7 snapshots a cycle are more than the 10 epochs of a cycle"),
        (0, 0, "one must be above 0"),
        (-1, 3, "neither can be negative"),
        (3, -1, "neither can be negative"),
    ],
)
def test_impossible_numbers_are_refused(late: int, sparse: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        snapshot_epochs(20, 2, late, sparse)


def test_cycles_must_be_equal() -> None:
    with pytest.raises(UserError, match="cannot be cut into 3 equal cycles"):
        snapshot_epochs(20, 3, 1, 0)
