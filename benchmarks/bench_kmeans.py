"""Exact two-means of a saliency map against scikit-learn's KMeans: `python -m benchmarks.bench_kmeans`."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans as LloydKMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from medsam_exp.masks.postprocess.kmeans import KMeans
from medsam_exp.types import Mask, SaliencyMap

SIZES = ((224, 224), (256, 256), (500, 500), (512, 512))


def main() -> None:
    """Print milliseconds (one thread), ratio and within-class variance of both on the same maps."""
    table = Table("map", "ours, ms", "scikit-learn, ms", "ratio", "ours, variance", "scikit-learn, variance")
    for number, size in enumerate(SIZES):
        saliency_map = smooth_map(number, size)
        with threadpool_limits(1):
            ours, mask = timed(partial(KMeans(), saliency_map, np.zeros((*size, 3), np.uint8)), repeats=20)
            theirs, lloyd_mask = timed(partial(lloyd, saliency_map), repeats=3)
        variances = (f"{variance_within(saliency_map, each):.9f}" for each in (mask, lloyd_mask))
        ratio = f"{theirs / ours:.0f} x"
        table.add_row(f"{size[0]} x {size[1]}", f"{1e3 * ours:.2f}", f"{1e3 * theirs:.0f}", ratio, *variances)
    Console().print(table)


def smooth_map(seed: int, size: tuple[int, int]) -> SaliencyMap:
    """A (H, W) map in [0, 1] with blobs of a tumour's size."""
    rough = gaussian_filter(np.random.default_rng(seed).random(size), size[0] / 12)
    result: SaliencyMap = ((rough - rough.min()) / np.ptp(rough)).astype(np.float32)
    return result


def lloyd(saliency_map: SaliencyMap) -> Mask:
    """The brighter cluster as the released code finds it, ten random starts, here on the map itself."""
    model = LloydKMeans(n_clusters=2, n_init=10, random_state=10).fit(saliency_map.reshape(-1, 1))
    mask: Mask = (model.labels_ == model.cluster_centers_.argmax()).reshape(saliency_map.shape)
    return mask


def variance_within(saliency_map: SaliencyMap, mask: Mask) -> float:
    """Mean squared distance of each pixel's value from the mean of its cluster."""
    clusters = (saliency_map[mask].astype(np.float64), saliency_map[~mask].astype(np.float64))
    result: float = sum(((values - values.mean()) ** 2).sum() for values in clusters) / saliency_map.size
    return result


def timed(function: Callable[[], Mask], repeats: int) -> tuple[float, Mask]:
    """Median seconds of a call, after one to warm up, and its result."""
    result, seconds = function(), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), result


if __name__ == "__main__":
    main()
