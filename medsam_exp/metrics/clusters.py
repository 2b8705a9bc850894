"""Images that are not independent, such as the slices of one patient: they are drawn and tested together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

RESAMPLES = 2000
FEWEST = 6
"""Patients below which there is no 95 % interval: the whole range that a bootstrap of five can reach, from the lowest
to the highest patient, covers 1 - 2 / 2^5 = 94 % at most."""
NUMBERS_AT_ONCE = 1_000_000
"""Resampled values in memory; of more, they would no longer stay in a processor's cache."""
_COUNTS_AT_ONCE = 10_000_000
"""Counts of drawn patients in memory."""

Clusters = Sequence[str]
"""The patient of each image, as a name."""


def numbered(clusters: Clusters | None) -> NDArray[np.intp] | None:
    """Number (n,) of each image's patient, from 0; None where no two images share one, so that all are independent."""
    if clusters is None or len(set(clusters)) == len(clusters):
        return None
    return np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]


def picked(patients: Mapping[str, str] | None, names: Iterable[str]) -> list[str] | None:
    """The patients of some images; None where patients are unknown."""
    return None if patients is None else [patients[name] for name in names]


def patients_part(clusters: Clusters | None) -> dict[str, int]:
    """`patients`, their number, as an entry of a measure's figures; nothing where they are unknown."""
    return {} if clusters is None else {"patients": len(set(clusters))}


def resamples(
    count: int, generator: np.random.Generator, numbers_at_once: int = NUMBERS_AT_ONCE
) -> Iterator[NDArray[Any]]:
    """Independent images of each of `RESAMPLES` bootstrap samples, in blocks (rows, count)."""
    rows = max(1, numbers_at_once // count)
    for start in range(0, RESAMPLES, rows):
        yield generator.integers(count, size=(min(rows, RESAMPLES - start), count))


def draws(clusters: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """How often each patient is drawn in each of `RESAMPLES` bootstrap samples, in blocks (rows, clusters)."""
    rows, even = max(1, _COUNTS_AT_ONCE // clusters), np.full(clusters, 1 / clusters)
    for start in range(0, RESAMPLES, rows):
        yield generator.multinomial(clusters, even, min(rows, RESAMPLES - start)).astype(np.float64)


def interval(resampled: NDArray[np.float64], clusters: int) -> list[float] | None:
    """95 % interval by Hesterberg's expanded percentiles (2015, DOI 10.1080/00031305.2015.1089789).

    Plain percentiles are too narrow for few patients, as a bootstrap's spread lacks the factor sqrt(G / (G - 1)) and
    the tails of Student's t. Here further percentiles make up for both; the interval stays within what can occur.

    Args:
        resampled: (R,) the figure in each bootstrap sample; those in which it is not defined are left out.
        clusters: G, number of patients.

    Returns:
        [low, high]; None for fewer than `FEWEST` patients, or where nothing varies.
    """
    defined = resampled[np.isfinite(resampled)]
    if clusters < FEWEST or not varies(defined):
        return None
    tail = scipy.special.ndtr(
        -np.sqrt(clusters / (clusters - 1)) * scipy.special.stdtrit(clusters - 1, 0.975)
    )
    return [float(bound) for bound in np.quantile(defined, (tail, 1 - tail))]


def percentiles(resampled: NDArray[np.float64]) -> list[float] | None:
    """95 % interval [low, high] of a percentile bootstrap of independent images; None where nothing varies."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return [float(low), float(high)] if low < high else None


def varies(values: NDArray[np.float64]) -> bool:
    """Whether values differ by more than rounding."""
    return len(values) > 1 and bool(np.ptp(values) > 1e-12 * np.abs(values).max())


def mean_interval(values: NDArray[np.float64], members: NDArray[np.intp], seed: int) -> list[float] | None:
    """Interval of the mean over images, patients drawn with all their images; the order of neither matters.

    Args:
        values: (n,) one per image.
        members: (n,) number of each image's patient.
        seed: of the bootstrap.
    """
    sums, sizes = totals(values, members, int(members.max()) + 1)
    order = np.lexsort((sums, sizes))
    sums, sizes = sums[order], sizes[order]
    drawn = draws(len(sums), np.random.default_rng(seed))
    return interval(np.concatenate([count @ sums / (count @ sizes) for count in drawn]), len(sums))


def totals(
    values: NDArray[np.float64], members: NDArray[np.intp], clusters: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of the values and number of images of each patient, each (clusters,)."""
    order = np.lexsort((values, members))  # equal sums whatever the order of images
    sums = np.bincount(members[order], values[order], minlength=clusters).astype(np.float64)
    return sums, np.bincount(members, minlength=clusters).astype(np.float64)
