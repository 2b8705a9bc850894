"""One number that makes an overconfident network say what it knows: temperature scaling (Guo et al. 2017)."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from medsam_exp.uncertainty.reliability import SMALLEST

BOUNDS = (0.05, 20.0)
"""Smallest and largest temperature that is looked at; pixels that all agree with the truth would ask for 0."""


def fit_temperature(foreground_probability: ArrayLike, truth: ArrayLike) -> float:
    """Find the temperature under which the truth is most likely.

    Minimises the mean negative log-likelihood of sigmoid(logit(p) / T), which has one minimum in T. Fit it on
    pixels that are in question (`near_object`) and on images that are not scored: it looks at their truth.

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
    logits = logit(np.clip(p, SMALLEST, 1 - SMALLEST))
    if not logits.any():
        return 1.0
    against = np.where(y, -logits, logits)  # how strongly the network speaks against the truth

    def negative_log_likelihood(log_temperature: float) -> float:
        return float(np.logaddexp(0, against * np.exp(-log_temperature)).mean())

    found = minimize_scalar(
        negative_log_likelihood,
        bounds=(math.log(BOUNDS[0]), math.log(BOUNDS[1])),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(found.x))


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
