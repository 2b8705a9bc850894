"""One measure over all images: mean, standard deviation, confidence interval, number of images and patients."""

from collections.abc import Mapping, Sequence
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
    return summarise_each({"": values}, seed, {"": clusters})[""]


def summarise_each(
    columns: Mapping[str, Sequence[float]], seed: int, clusters: Mapping[str, Clusters | None]
) -> dict[str, dict[str, Any]]:
    """The figures of `summarise` of several measures by name; those of equally many images share their resamples.

    Args:
        columns: (n,) of each measure, as for `summarise`.
        seed: of the bootstrap.
        clusters: (n,) of each measure, likewise.
    """
    samples: dict[str, NDArray[np.float64]] = {}
    independent: dict[str, NDArray[np.float64]] = {}
    intervals: dict[str, list[float] | None] = {}
    for name, values in columns.items():
        given, members = _finite(values), numbered(clusters[name])
        samples[name] = sample = np.sort(given)
        if members is None:
            independent[name] = sample
        else:
            intervals[name] = mean_interval(given, members, seed)
    intervals |= _percentiles(independent, seed)
    return {
        name: {
            "mean": float(sample.mean()),
            "std": float(sample.std(ddof=1)) if len(sample) > 1 else 0.0,
            "ci95": intervals.get(name),
            "n": len(sample),
            **patients_part(clusters[name]),
        }
        for name, sample in samples.items()
    }


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Values as an array.

    Raises:
        ValueError: there are none, or some are not finite.
    """
    given = np.asarray(values, np.float64)
    broken = np.count_nonzero(~np.isfinite(given))
    if not len(given) or broken:
        raise ValueError(f"cannot summarise {len(given)} values of which {broken} are not finite")
    return given


def _percentiles(samples: Mapping[str, NDArray[np.float64]], seed: int) -> dict[str, list[float] | None]:
    """Percentile bootstrap over independent images, of samples that vary; each is resampled as if it were alone."""
    varying = {name: sample for name, sample in samples.items() if varies(sample)}
    means: dict[str, list[NDArray[np.float64]]] = {name: [] for name in varying}
    for count in dict.fromkeys(map(len, varying.values())):
        alike = {name: sample for name, sample in varying.items() if len(sample) == count}
        for places in resamples(count, np.random.default_rng(seed)):
            for name, sample in alike.items():
                means[name].append(sample.take(places).mean(axis=1))
    return {name: percentiles(np.concatenate(found)) for name, found in means.items()}
