"""Temperature scaling of an overconfident network (Guo et al. 2017, arXiv:1706.04599)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from medsam_exp.nnunet.uncertainty.reliability import SMALLEST

BOUNDS = (0.05, 20.0)
"""Smallest and largest temperature that is looked at; pixels that all agree with the truth would ask for 0."""


def fit_temperature(foreground_probability: ArrayLike, truth: ArrayLike) -> float:
    """Find the temperature under which the truth is most likely.

    Minimises the mean negative log-likelihood of sigmoid(logit(p) / T), which has one minimum in T. Which pixels
    count must not depend on the truth (`near_prediction`), or a calibrated network seems too sure. Fit it on images
    that are not scored: it looks at their truth. `temperature_interval` says whether they are enough.

    Args:
        foreground_probability: (n,) in [0, 1]; within `SMALLEST` of 0 and 1 it is taken as that far from them.
        truth: (n,) bool.

    Returns:
        T within `BOUNDS`: above 1 for an overconfident network, below for a timid one; 1 where every T is as good,
        since all probabilities are 0.5.

    Raises:
        ValueError: no pixels, unequal numbers, or something is not in [0, 1].
    """
    p, y = np.asarray(foreground_probability, np.float64), np.asarray(truth, bool)
    if p.ndim != 1 or p.shape != y.shape or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"need (n,) probabilities and as many truths, n >= 1, but have {p.shape} and {y.shape}"
        )
    against = _against(p, y)
    if not against.any():
        return 1.0

    def negative_log_likelihood(log_temperature: float) -> float:
        return float(np.logaddexp(0, against * np.exp(-log_temperature)).mean())

    found = minimize_scalar(
        negative_log_likelihood,
        bounds=(math.log(BOUNDS[0]), math.log(BOUNDS[1])),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(found.x))


def temperature_interval(
    images: Sequence[tuple[ArrayLike, ArrayLike]], temperature: float
) -> tuple[float, float] | None:
    """How far a fitted temperature may lie from the one of images without number.

    The pixels of one image err together, so images are what is counted: the sandwich estimate of the variance of
    log T, with each image as a cluster (Liang & Zeger 1986, doi:10.1093/biomet/73.1.13).

    Args:
        images: of each, probabilities (n,) and truths (n,), as given to `fit_temperature` all together.
        temperature: what it found.

    Returns:
        Lower and upper end of the 95 % interval; None where there is none: fewer than two images, or none of their
        pixels says anything of T, or T stands at the end of `BOUNDS`.
    """
    parts = [_against(np.asarray(p, np.float64), np.asarray(y, bool)) / temperature for p, y in images]
    slopes = np.array([float((part * expit(part)).sum()) for part in parts])
    curvature = sum(
        float((part * expit(part) + part**2 * expit(part) * expit(-part)).sum()) for part in parts
    )
    inside = BOUNDS[0] * 1.001 < temperature < BOUNDS[1] / 1.001
    if len(parts) < 2 or curvature <= 0 or not inside:
        return None
    spread = 1.96 * math.sqrt(len(parts) / (len(parts) - 1) * float((slopes**2).sum())) / curvature
    return temperature * math.exp(-spread), temperature * math.exp(spread)


def _against(p: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How strongly probabilities speak against the truth: (n,) logits, of which a wrong one is positive."""
    logits = logit(np.clip(p, SMALLEST, 1 - SMALLEST))
    return np.asarray(np.where(y, -logits, logits))


def apply_temperature(probabilities: ArrayLike, temperature: float) -> NDArray[np.floating[Any]]:
    """Soften (T > 1) or sharpen (T < 1) probabilities; the likeliest class stays the likeliest.

    Args:
        probabilities: (K, H, W), sum 1 over K: p^(1/T), renormalised; or foreground probabilities of any other
            shape: sigmoid(logit(p) / T), which is the same for K = 2.
        temperature: T > 0.

    Returns:
        Same shape and type (float64 for other types than floats); 0 and 1 stay what they are.

    Raises:
        ValueError: T is not positive and finite.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"a temperature of {temperature} is not positive and finite")
    p = np.asarray(probabilities)
    exact = p.astype(np.float64)
    if p.ndim == 3:
        with np.errstate(divide="ignore"):  # log 0 = -inf, of which softmax makes 0 again
            scaled = softmax(np.log(exact) / temperature, axis=0)
    else:
        scaled = expit(logit(exact) / temperature)
    return scaled.astype(p.dtype if np.issubdtype(p.dtype, np.floating) else np.float64)
