"""Of the pixels that are called target with probability 0.8, are 80 % target? Calibration and proper scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from medsam_exp.metrics.calibration import bin_totals, expected_calibration_error
from medsam_exp.types import Mask

SMALLEST = 1e-7
"""Probabilities are taken to lie this far from 0 and 1 in a logarithm: about what float32 can tell from 1."""
POSSIBLE = 0.05
"""From this probability on a pixel may be of an object (ours): far below any threshold that makes a mask."""


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Bins that have pixels, lowest first.

    Attributes:
        confidence: (b,) mean probability.
        frequency: (b,) share of pixels that are target.
        count: (b,) number of pixels.
    """

    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    count: NDArray[np.int64]


class ReliabilityBins:
    """Collects the pixels of many images; memory does not grow with their number, and their order does not matter.

    Args:
        bins: equally wide ones over [0, 1]; a probability on a border belongs to the upper bin, 1 to the last.
    """

    def __init__(self, bins: int = 15) -> None:
        if bins < 1:
            raise ValueError(f"{bins} bins cannot hold anything; there must be at least 1")
        self.bins = bins
        self._count = np.zeros(bins, np.int64)
        self._positives = np.zeros(bins, np.int64)
        self._promised = np.zeros(bins)
        self._squared_error = self._log_loss = 0.0

    def add(
        self, foreground_probability: NDArray[np.floating[Any]], truth: Mask, region: Mask | None = None
    ) -> None:
        """Take in one image.

        Which pixels count decides what the figures mean. Nearly all of an image is plain background, predicted as
        such with a probability near 0: over the whole image these pixels make any network look well calibrated,
        and the more so the larger the margin. `near_prediction` gives a region whose pixels are in question. A region
        that looks at the truth makes the figures untrue.

        Args:
            foreground_probability: (H, W), or any shape, in [0, 1].
            truth: same shape, bool.
            region: same shape, bool: the pixels that count; None for all.

        Raises:
            ValueError: shapes differ, or something is not in [0, 1].
        """
        probability, target = np.asarray(foreground_probability), np.asarray(truth, bool)
        inside = np.ones_like(target) if region is None else region
        if not probability.shape == target.shape == inside.shape:
            raise ValueError(f"shapes differ: {probability.shape}, {target.shape}, {inside.shape}")
        p, y = probability[inside].astype(np.float64), target[inside]
        if not ((p >= 0) & (p <= 1)).all():
            raise ValueError("not all probabilities lie in [0, 1]")
        count, promised, positives = bin_totals(p, y, self.bins)
        self._count += count
        self._positives += positives.astype(np.int64)
        self._promised += promised
        self._squared_error += float(((p - y) ** 2).sum())
        safe = np.clip(p, SMALLEST, 1 - SMALLEST)
        self._log_loss -= float(np.log(np.where(y, safe, 1 - safe)).sum())

    @classmethod
    def restore(cls, bins: int, figures: Mapping[str, Any]) -> "ReliabilityBins":
        """Bins from what was once written down of them.

        Args:
            bins: how many there were.
            figures: `confidence`, `frequency` and `count` of the bins with pixels, and `brier` and `nll` per pixel.
        """
        restored = cls(bins)
        confidence, count = np.asarray(figures["confidence"]), np.asarray(figures["count"], np.int64)
        number = np.minimum((confidence * bins).astype(np.int64), bins - 1)
        restored._count[number] = count
        restored._positives[number] = np.round(np.asarray(figures["frequency"]) * count).astype(np.int64)
        restored._promised[number] = confidence * count
        restored._squared_error = figures["brier"] * restored.count
        restored._log_loss = figures["nll"] * restored.count
        return restored

    @property
    def count(self) -> int:
        """How many pixels there are."""
        return int(self._count.sum())

    @property
    def counts(self) -> NDArray[np.int64]:
        """(bins,) number of pixels in each bin, also in those without any."""
        return self._count.copy()

    def curve(self) -> ReliabilityCurve:
        """What was promised and what occurred in each bin."""
        used = self._count > 0
        count = self._count[used]
        return ReliabilityCurve(self._promised[used] / count, self._positives[used] / count, count)

    def ece(self) -> float:
        """Expected calibration error: mean distance of the two over pixels, in [0, 1] (Naeini et al. 2015).

        NaN before the first pixel, as all figures here.
        """
        return expected_calibration_error((self._count, self._promised, self._positives.astype(np.float64)))

    def brier(self) -> float:
        """Brier score: mean squared distance of probability and truth; it rewards being right, too."""
        return self._per_pixel(self._squared_error)

    def nll(self) -> float:
        """Negative log-likelihood in nats for each pixel; see `SMALLEST`."""
        return self._per_pixel(self._log_loss)

    def _per_pixel(self, total: float) -> float:
        return total / self.count if self.count else float("nan")


def near_prediction(foreground_probability: NDArray[np.floating[Any]], distance_px: float = 10.0) -> Mask:
    """Pixels in or near what the network takes for a possible object, where a mask can be wrong at all.

    The region follows from the probabilities alone. One that follows from the truth, too, keeps the pixels that
    turn out to be target and drops others of the same probability: a calibrated network then looks too sure.

    Args:
        foreground_probability: (H, W) in [0, 1].
        distance_px: how far a pixel may lie from one whose probability reaches `POSSIBLE` (ours).

    Returns:
        (H, W) bool. The whole image where no pixel reaches it: that there is nothing is then what was predicted.
    """
    possible = np.asarray(foreground_probability) >= POSSIBLE
    if not possible.any():
        return np.ones_like(possible)
    return np.asarray(scipy.ndimage.distance_transform_edt(~possible) <= distance_px)
