"""Scores by class, and their mean over classes, in which a rare class counts as much as a common one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.metrics.summary import RESAMPLES, summarise

_NUMBERS_AT_ONCE = 10_000_000  # of resampled values in memory

Scores = Mapping[str, Mapping[str, float]]
"""Scores by sample id and name ("sam/dsc"); a sample has only those that are defined for it."""


def breakdown(scores: Scores, class_names: Mapping[str, str | None], seed: int = 0) -> dict[str, Any]:
    """Summarise every score for each class and over the classes.

    Args:
        scores: by sample id and name.
        class_names: by sample id; None where it is unknown: such samples are in no class.
        seed: of the bootstrap.

    Returns:
        `by_class`, class -> score -> figures of `summarise`, and `macro`, score -> figures of
        `summarise_over_classes`. Nothing when there are fewer than two classes.
    """
    columns: dict[str, dict[str, list[float]]] = {}
    for sample_id, class_name in class_names.items():
        if class_name is not None and scores.get(sample_id):
            own = columns.setdefault(class_name, {})
            for name, value in scores[sample_id].items():
                own.setdefault(name, []).append(value)
    if len(columns) < 2:
        return {}
    by_class = {
        class_name: {name: summarise(values, seed) for name, values in sorted(columns[class_name].items())}
        for class_name in sorted(columns)
    }
    names = sorted({name for figures in by_class.values() for name in figures})
    macro = {
        name: summarise_over_classes(
            {key: columns[key][name] for key in by_class if name in columns[key]}, seed
        )
        for name in names
    }
    return {"by_class": by_class, "macro": macro}


def summarise_over_classes(
    values: Mapping[str, Sequence[float]], seed: int = 0
) -> dict[str, float | list[float]]:
    """Mean over the classes' means; neither the order of classes nor of images matters.

    Args:
        values: by class, (n,) finite, one per image, n >= 1.
        seed: of the bootstrap.

    Returns:
        `mean`; `std`, of the classes' means (classes - 1 in the denominator), 0 for one class; `ci95`, [low, high]
        of the mean by percentile bootstrap over the images within each class, whose number stays, so that a
        class of one image adds nothing to its width; `n`, of all images; `classes`, their number.

    Raises:
        ValueError: no class, an empty class, or values that are not finite.
    """
    samples = [np.sort(np.asarray(values[name], np.float64)) for name in sorted(values)]
    if not samples or not all(len(sample) and np.isfinite(sample).all() for sample in samples):
        raise ValueError("each class needs finite values, and at least one")
    means = np.array([sample.mean() for sample in samples])
    generator = np.random.default_rng(seed)
    resampled = np.mean([_resampled_means(sample, generator) for sample in samples], axis=0)
    return {
        "mean": float(means.mean()),
        "std": float(means.std(ddof=1)) if len(means) > 1 else 0.0,
        "ci95": [float(bound) for bound in np.quantile(resampled, (0.025, 0.975))],
        "n": sum(map(len, samples)),
        "classes": len(samples),
    }


def _resampled_means(sample: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """(RESAMPLES,) means of samples drawn from one class with replacement."""
    rows = max(1, _NUMBERS_AT_ONCE // len(sample))
    counts = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    return np.concatenate([generator.choice(sample, (count, len(sample))).mean(axis=1) for count in counts])
