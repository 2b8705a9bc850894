"""One measure over all images: mean, standard deviation, confidence interval, number of images."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
_NUMBERS_AT_ONCE = 10_000_000  # of resampled values in memory


def summarise(values: Sequence[float], seed: int = 0) -> dict[str, float | list[float]]:
    """Summarise one measure over images; the order of the images does not matter.

    Nothing is left out: a missing value is the caller's to decide about, not this function's to drop.

    Args:
        values: (n,) finite, one per image, n >= 1.
        seed: of the bootstrap.

    Returns:
        `mean`; `std`, of the sample (n - 1 in the denominator), 0 for one image; `ci95`, [low, high] of the
        mean by percentile bootstrap over images, [mean, mean] for one image; `n`.

    Raises:
        ValueError: no values, or some are not finite.
    """
    sample = np.sort(np.asarray(values, np.float64))
    broken = np.count_nonzero(~np.isfinite(sample))
    if not len(sample) or broken:
        raise ValueError(f"cannot summarise {len(sample)} values of which {broken} are not finite")
    mean, n = float(sample.mean()), len(sample)
    if n == 1:
        return {"mean": mean, "std": 0.0, "ci95": [mean, mean], "n": 1}
    from scipy.stats import bootstrap  # takes a second, which commands that score nothing need not wait for

    interval = bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        batch=max(1, _NUMBERS_AT_ONCE // n),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return {"mean": mean, "std": float(sample.std(ddof=1)), "ci95": [float(v) for v in interval], "n": n}
