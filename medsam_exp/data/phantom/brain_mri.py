"""Draws T1-weighted axial brain slices: scalp, skull, folds, ventricles, bias field, Rician noise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.phantom.fields import Field, ellipse, grid, radius, smooth_noise, step
from medsam_exp.data.phantom.lesions import Lesion


def draw_brain_mri(
    shape: tuple[int, int], generator: np.random.Generator, lesions: Sequence[Lesion]
) -> Field:
    """Draw a T1-weighted axial slice; see `draw.DrawScan`."""
    y, x = grid(shape)
    center = 0.5 + generator.uniform(-0.015, 0.015, 2)
    rho = radius(y - np.float32(center[0]), x - np.float32(center[1]), (0.47, 0.42))
    rho += 0.012 * smooth_noise(generator, shape, (3, 3))
    brain = step(0.86 - rho, 0.03)
    image = brain * _brain(shape, generator, center, rho)
    for lesion in lesions:
        _add_lesion(image, lesion, generator)
    scalp = step(1.0 - rho, 0.03) * step(rho - 0.94, 0.03)
    image += (
        scalp * np.float32(generator.uniform(0.75, 1.0)) * (1 + 0.15 * smooth_noise(generator, shape, (6, 6)))
    )
    image += 0.10 * step(0.94 - rho, 0.02) * (1 - brain)
    image *= 1 + 0.14 * smooth_noise(generator, shape, (1, 1))
    noise = generator.standard_normal((2, *shape), dtype=np.float32) * np.float32(
        generator.uniform(0.018, 0.04)
    )
    result: Field = np.sqrt((image + noise[0]) ** 2 + noise[1] ** 2)
    return result


def _brain(
    shape: tuple[int, int], generator: np.random.Generator, center: NDArray[np.float64], rho: Field
) -> Field:
    """White and gray matter with folds towards the rim, fluid in the midline and the ventricles."""
    y, x = grid(shape)
    folds = np.abs(smooth_noise(generator, shape, (11, 10)))
    cortex = step(rho - 0.52 + 0.06 * smooth_noise(generator, shape, (5, 5)), 0.14)
    tissue = 0.50 + 0.035 * smooth_noise(generator, shape, (4, 4)) - 0.10 * cortex
    tissue -= 0.26 * cortex * np.clip(1 - folds / 0.35, 0, 1)
    across = np.abs(x - np.float32(center[1]) + 0.006 * smooth_noise(generator, shape, (4, 1)))
    tissue -= 0.26 * step(0.007 - across, 0.012) * step(np.abs(y - np.float32(center[0])) - 0.16, 0.06)
    tall, wide, tilt = (
        generator.uniform(0.10, 0.15),
        generator.uniform(0.022, 0.045),
        generator.uniform(0.15, 0.4),
    )
    for side in (-1, 1):
        place = (center[0] - 0.02, center[1] + side * (0.035 + 0.6 * wide))
        tissue -= 0.34 * ellipse(shape, place, (tall, wide), 0.3, side * tilt)
        nucleus = (center[0] + 0.02, center[1] + side * 0.14)
        tissue -= 0.07 * ellipse(shape, nucleus, (0.08, 0.05), 0.4, -side * 0.3)
    return np.maximum(tissue, 0.1)


def _add_lesion(image: Field, lesion: Lesion, generator: np.random.Generator) -> None:
    """Blend a lesion into the tissue that it has grown in."""
    shape = image.shape[0], image.shape[1]
    texture = 0.045 * smooth_noise(generator, shape, (14, 14))
    if lesion.plan.tone == "bright":
        tissue = np.float32(generator.uniform(0.74, 0.92)) + texture
    else:
        tissue = np.float32(generator.uniform(0.16, 0.25)) + 0.7 * texture
    image += lesion.profile * (tissue - image)
