"""How well a presence score tells images with the target from those without."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from medsam_exp.metrics import calibration
from medsam_exp.metrics.clusters import (
    FEWEST,
    RESAMPLES,
    Clusters,
    interval,
    numbered,
    patients_part,
    percentiles,
)

BINS = 10


def presence_figures(
    score: NDArray[np.float64], present: NDArray[np.bool_], seed: int = 0, clusters: Clusters | None = None
) -> dict[str, dict[str, Any]]:
    """Area under the ROC curve and expected calibration error, each with a confidence interval.

    Args:
        score: (n,) higher where the target is thought to be there; a probability for the `ece` to mean something.
        present: (n,) whether it is; both kinds must occur.
        seed: of the bootstrap.
        clusters: (n,) each image's patient; None where patients are unknown.

    Returns:
        `auc` and `ece`, each with `mean` (the figure itself), `std` and `ci95` of a bootstrap over images, the
        number of images of each kind kept, or over patients where some have several images (`metrics.clusters`);
        `ci95` is None where nothing varies, or where fewer than six patients have images of a kind; `n`; and
        `patients`, where they are known.
    """
    members = numbered(clusters)
    keys = (score, present) if members is None else (score, present, members)
    order = np.lexsort(keys)  # so that the order of the images does not matter
    score, present = score[order], present[order]
    members = None if members is None else members[order]
    drawn = list(_drawn(present, members, np.random.default_rng(seed)))
    measures = {"auc": area_under_roc, "ece": expected_calibration_error}
    found = {}
    for name, measure in measures.items():
        resampled = np.array([measure(score[i], present[i]) for i in drawn])
        bounds = percentiles(resampled) if members is None else _by_patient(resampled, present, members)
        found[name] = {
            "mean": measure(score, present),
            "std": float(resampled.std(ddof=1)),
            "ci95": bounds,
            "n": len(score),
            **patients_part(clusters),
        }
    return found


def _drawn(
    present: NDArray[np.bool_], members: NDArray[np.intp] | None, generator: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Images of each bootstrap sample; those of patients that lack a kind of image are drawn again."""
    if members is None:
        kinds = [np.flatnonzero(present), np.flatnonzero(~present)]
        for _ in range(RESAMPLES):
            yield np.concatenate([generator.choice(kind, len(kind)) for kind in kinds])
        return
    own = [np.flatnonzero(members == patient) for patient in range(int(members.max()) + 1)]
    left = RESAMPLES
    while left:
        chosen = np.concatenate([own[patient] for patient in generator.integers(len(own), size=len(own))])
        if present[chosen].any() and not present[chosen].all():
            left -= 1
            yield chosen


def _by_patient(
    resampled: NDArray[np.float64], present: NDArray[np.bool_], members: NDArray[np.intp]
) -> list[float] | None:
    fewest = min(len(set(members[kind].tolist())) for kind in (present, ~present))
    return interval(resampled, int(members.max()) + 1) if fewest >= FEWEST else None


def area_under_roc(score: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """Probability that an image with the target scores higher than one without; equal scores count half.

    By ranks (Mann and Whitney): a bootstrap calls it thousands of times.
    """
    positives = int(np.count_nonzero(present))
    negatives = len(present) - positives
    excess = scipy.stats.rankdata(score)[present].sum() - positives * (positives + 1) / 2
    return float(excess / (positives * negatives))


def expected_calibration_error(score: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten equally wide bins.

    All images count, whatever they show. Chance alone keeps it above 0: a calibrated score, simulated with
    probabilities of Beta(0.5, 0.5), reaches 0.18 on 20 images, 0.11 on 60, 0.06 on 200 and 0.03 on 1000.
    """
    return calibration.expected_calibration_error(calibration.bin_totals(score, present, BINS))


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
    from sklearn.metrics import roc_curve  # slow to import

    false_positive, true_positive, _ = roc_curve(present, score, drop_intermediate=False)
    return false_positive, true_positive


def reliability(score: NDArray[np.float64], present: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """(mean score, share present, number of images) of each bin that has images, lowest first."""
    bins = zip(*calibration.bin_totals(score, present, BINS), strict=True)
    return [
        (float(predicted / count), float(occurred / count), int(count))
        for count, predicted, occurred in bins
        if count
    ]
