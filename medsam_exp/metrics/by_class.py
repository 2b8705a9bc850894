"""Scores over images, by class, and their mean over classes, in which a rare class counts as much as a common one."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.metrics.clusters import (
    FEWEST,
    Clusters,
    draws,
    interval,
    patients_part,
    picked,
    resamples,
    totals,
    varies,
)
from medsam_exp.metrics.summary import summarise_each

Scores = Mapping[str, Mapping[str, float]]
"""Scores by sample id and name ("sam/dsc"); a sample has only those that are defined for it."""


def over_images(
    scores: Scores, images: Mapping[str, str], seed: int = 0, patients: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Figures of `summarise` of every score; each image counts once, by the mean over its samples.

    Args:
        scores: by sample id and name.
        images: image of each sample that shares it with others.
        seed: of the bootstrap.
        patients: each sample's patient; None where patients are unknown.
    """
    of_image = patients and {images.get(name, name): patients[name] for name in scores}
    names = sorted({name for own in scores.values() for name in own})
    columns = {name: _by_image(scores, images, name) for name in names}
    clusters = {name: picked(of_image, column) for name, column in columns.items()}
    return summarise_each({name: list(column.values()) for name, column in columns.items()}, seed, clusters)


def _by_image(scores: Scores, images: Mapping[str, str], name: str) -> dict[str, float]:
    """One score of each image, the mean over its samples."""
    column = {sample_id: own[name] for sample_id, own in scores.items() if name in own}
    if not images:
        return column
    values: dict[str, list[float]] = {}
    for sample_id, value in column.items():
        values.setdefault(images.get(sample_id, sample_id), []).append(value)
    return {image: fmean(found) for image, found in values.items()}


def breakdown(
    scores: Scores,
    class_names: Mapping[str, str | None],
    seed: int = 0,
    patients: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Summarise every score for each class and over the classes.

    Args:
        scores: by sample id and name.
        class_names: by sample id; None where it is unknown: such samples are in no class.
        seed: of the bootstrap.
        patients: each sample's patient; None where patients are unknown.
        images: image of each sample that shares it with others.

    Returns:
        `by_class`, class -> score -> figures of `summarise`, and `macro`, score -> figures of
        `_summarise_over_classes`, and `patients` where they are known. Nothing when there are fewer than two classes.
    """
    members: dict[str, list[str]] = {}
    for sample_id, class_name in class_names.items():
        if class_name is not None and scores.get(sample_id):
            members.setdefault(class_name, []).append(sample_id)
    if len(members) < 2:
        return {}
    together = patients or {name: (images or {}).get(name, name) for name in class_names}
    names = sorted({name for ids in members.values() for own in ids for name in scores[own]})
    by_class = {key: _of_class(scores, names, members[key], seed, patients) for key in sorted(members)}
    macro = {}
    for name in names:
        ids = {key: [own for own in members[key] if name in scores[own]] for key in by_class}
        values = {key: [scores[own][name] for own in found] for key, found in ids.items() if found}
        clusters = {key: [together[own] for own in ids[key]] for key in values}
        everyone = picked(patients, (own for found in ids.values() for own in found))
        macro[name] = _summarise_over_classes(values, seed, clusters) | patients_part(everyone)
    return {"by_class": by_class, "macro": macro}


def _of_class(
    scores: Scores,
    names: Sequence[str],
    members: Sequence[str],
    seed: int,
    patients: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Figures of the scores of a class's samples."""
    ids = {name: [own for own in members if name in scores[own]] for name in names}
    columns = {name: [scores[own][name] for own in found] for name, found in ids.items() if found}
    return summarise_each(columns, seed, {name: picked(patients, ids[name]) for name in columns})


def _summarise_over_classes(
    values: Mapping[str, Sequence[float]], seed: int = 0, clusters: Mapping[str, Clusters] | None = None
) -> dict[str, Any]:
    """Mean over the classes' means; neither the order of classes nor of images matters.

    Args:
        values: by class, (n,) finite, one per image, n >= 1.
        seed: of the bootstrap.
        clusters: by class, (n,) each image's patient (or each sample's image, where several are of one), which may
            have images of several classes; None where all are independent.

    Returns:
        `mean`; `std`, of the classes' means (classes - 1 in the denominator), 0 for one class; `ci95`, [low, high]
        of the mean: by percentile bootstrap over the images within each class, whose number stays; or, where images
        share patients, over patients (`metrics.clusters`). None where a class has one image alone (or too few
        patients), as nobody knows how far its mean is off; `n`, of all images; `classes`, their number.

    Raises:
        ValueError: no class, an empty class, or values that are not finite.
    """
    names = sorted(values)
    samples = [np.asarray(values[name], np.float64) for name in names]
    if not samples or not all(len(sample) and np.isfinite(sample).all() for sample in samples):
        raise ValueError("each class needs finite values, and at least one")
    means = np.array([np.sort(sample).mean() for sample in samples])
    shared = [list(clusters[name]) for name in names] if clusters else []
    everyone = [patient for own in shared for patient in own]
    independent = len(set(everyone)) == len(everyone)
    return {
        "mean": float(means.mean()),
        "std": float(means.std(ddof=1)) if len(means) > 1 else 0.0,
        "ci95": _within_classes(samples, seed) if independent else _over_patients(samples, shared, seed),
        "n": sum(map(len, samples)),
        "classes": len(samples),
    }


def _within_classes(samples: Sequence[NDArray[np.float64]], seed: int) -> list[float] | None:
    """Percentile bootstrap over independent images, class by class."""
    if min(map(len, samples)) == 1 or not any(map(varies, samples)):
        return None
    generator = np.random.default_rng(seed)
    means = []
    for sample in map(np.sort, samples):
        blocks = resamples(len(sample), generator)
        means.append(np.concatenate([sample[drawn].mean(axis=1) for drawn in blocks]))
    resampled = np.mean(means, axis=0)
    return [float(bound) for bound in np.quantile(resampled, (0.025, 0.975))]


def _over_patients(
    samples: Sequence[NDArray[np.float64]], shared: Sequence[Clusters], seed: int
) -> list[float] | None:
    """Bootstrap over patients with all their images of all classes; samples that lack a class are left out."""
    if min(len(set(own)) for own in shared) < FEWEST:
        return None
    number = {name: place for place, name in enumerate(sorted({name for own in shared for name in own}))}
    columns = [
        totals(sample, np.array([number[name] for name in own]), len(number))
        for sample, own in zip(samples, shared, strict=True)
    ]
    sums, sizes = (np.stack(part) for part in zip(*columns, strict=True))
    order = np.lexsort((*sums, *sizes))
    sums, sizes = sums[:, order].T, sizes[:, order].T
    with np.errstate(invalid="ignore"):
        drawn = draws(len(number), np.random.default_rng(seed))
        means = [(count @ sums / (count @ sizes)).mean(1) for count in drawn]
    return interval(np.concatenate(means), len(number))
