"""How well a presence score tells images with the target from those without."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_curve

from medsam_exp.metrics.summary import RESAMPLES

BINS = 10


def presence_figures(
    score: NDArray[np.float64], present: NDArray[np.bool_], seed: int = 0
) -> dict[str, dict[str, float | list[float]]]:
    """Area under the ROC curve and expected calibration error, each with a confidence interval.

    Args:
        score: (n,) higher where the target is thought to be there; a probability for the `ece` to mean something.
        present: (n,) whether it is; both kinds must occur.
        seed: of the bootstrap.

    Returns:
        `auc` and `ece`, each with `mean` (the figure itself), `std` and `ci95` of a bootstrap over images, the
        number of images of each kind kept, and `n`.
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((score, present))  # so that the order of the images does not matter
    score, present = score[order], present[order]
    kinds = [np.flatnonzero(present), np.flatnonzero(~present)]
    drawn = [np.concatenate([generator.choice(kind, len(kind)) for kind in kinds]) for _ in range(RESAMPLES)]
    measures = {"auc": area_under_roc, "ece": expected_calibration_error}
    return {
        name: _with_interval(
            measure(score, present), [measure(score[i], present[i]) for i in drawn], len(score)
        )
        for name, measure in measures.items()
    }


def area_under_roc(score: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """Probability that an image with the target scores higher than one without; equal scores count half.

    By ranks (Mann and Whitney): a bootstrap calls it thousands of times.
    """
    positives = int(np.count_nonzero(present))
    negatives = len(present) - positives
    excess = rankdata(score)[present].sum() - positives * (positives + 1) / 2
    return float(excess / (positives * negatives))


def expected_calibration_error(score: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """Mean distance between what is promised and what occurs, over ten equally wide bins (Naeini et al. 2015).

    All images count, whatever they show. Chance alone keeps it above 0: a calibrated score, simulated with
    probabilities of Beta(0.5, 0.5), reaches 0.18 on 20 images, 0.11 on 60, 0.06 on 200 and 0.03 on 1000.
    """
    bins = _bin_of(score)
    count = np.bincount(bins, minlength=BINS)
    promised, occurred = (np.bincount(bins, part, minlength=BINS) for part in (score, present))
    return float(np.abs(promised - occurred).sum() / count.sum())


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it does.

    Attributes:
        threshold: scores from it on count as present.
        sensitivity: share of images with the target that count as present.
        specificity: share of images without it that do not.
    """

    threshold: float
    sensitivity: float
    specificity: float


def operating_point(
    score: NDArray[np.float64], present: NDArray[np.bool_], threshold: float
) -> OperatingPoint:
    """What a threshold does on (n,) scores, both kinds of image occurring."""
    said = score >= threshold
    return OperatingPoint(threshold, float(said[present].mean()), float((~said[~present]).mean()))


def roc_points(
    score: NDArray[np.float64], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False-positive and true-positive rates of the ROC curve, each (k,)."""
    false_positive, true_positive, _ = roc_curve(present, score, drop_intermediate=False)
    return false_positive, true_positive


def reliability(score: NDArray[np.float64], present: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """(mean score, share present, number of images) of each bin that has images, lowest first."""
    bins = _bin_of(score)
    return [
        (float(score[bins == b].mean()), float(present[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]


def _bin_of(score: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip((score * BINS).astype(np.int64), 0, BINS - 1)


def _with_interval(value: float, resampled: list[float], n: int) -> dict[str, float | list[float]]:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {
        "mean": value,
        "std": float(np.std(resampled, ddof=1)),
        "ci95": [float(low), float(high)],
        "n": n,
    }
