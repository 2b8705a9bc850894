"""One measure over all images: mean, standard deviation, confidence interval, number of images and patients."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.metrics.clusters import (
    Clusters,
    mean_interval,
    numbered,
    patients_part,
    percentiles,
    resamples,
    varies,
)


def summarise(values: Sequence[float], seed: int = 0, clusters: Clusters | None = None) -> dict[str, Any]:
    """Summarise one measure over images; the order of the images does not matter.

    Nothing is left out: a missing value is the caller's to decide about, not this function's to drop.

    Args:
        values: (n,) finite, one per image, n >= 1.
        seed: of the bootstrap.
        clusters: (n,) each image's patient; None where patients are unknown.

    Returns:
        `mean`, over images, so that a patient counts as often as it has images; `std`, of the sample of images (n - 1
        in the denominator), 0 for one image; `ci95`, [low, high] of the mean: by percentile bootstrap over images, or
        over patients where some have several images (`metrics.clusters`); None where there is no such thing: all
        values are equal, as of one image, or there are too few patients; `n`; and `patients`, where they are known.

    Raises:
        ValueError: no values, or some are not finite.
    """
    given = np.asarray(values, np.float64)
    broken = np.count_nonzero(~np.isfinite(given))
    if not len(given) or broken:
        raise ValueError(f"cannot summarise {len(given)} values of which {broken} are not finite")
    sample, members = np.sort(given), numbered(clusters)
    return {
        "mean": float(sample.mean()),
        "std": float(sample.std(ddof=1)) if len(sample) > 1 else 0.0,
        "ci95": _percentiles(sample, seed) if members is None else mean_interval(given, members, seed),
        "n": len(sample),
        **patients_part(clusters),
    }


def _percentiles(sample: NDArray[np.float64], seed: int) -> list[float] | None:
    """Percentile bootstrap over independent images."""
    if not varies(sample):
        return None
    chosen = resamples(len(sample), np.random.default_rng(seed))
    return percentiles(np.concatenate([sample[places].mean(axis=1) for places in chosen]))
