"""Draws axial CT slices: lungs with vessels, and abdomen with organs."""

from collections.abc import Sequence

import numpy as np

from medsam_exp.data.phantom.fields import Field, ellipse, grid, radius, smooth_noise, step
from medsam_exp.data.phantom.lesions import Lesion


def draw_lung_ct(shape: tuple[int, int], generator: np.random.Generator, lesions: Sequence[Lesion]) -> Field:
    """Draw an axial slice through the lungs, a window between lung and soft tissue; see `draw.DrawScan`."""
    image, _ = _body(shape, generator)
    lungs = np.zeros(shape, np.float32)
    for side in (-1, 1):
        center = (0.48 + generator.uniform(-0.02, 0.02), 0.5 + side * generator.uniform(0.20, 0.22))
        lungs = np.maximum(lungs, ellipse(shape, center, (0.29, 0.18), 0.08, side * 0.12))
    heart = (generator.uniform(0.44, 0.5), generator.uniform(0.54, 0.58))
    lungs *= 1 - ellipse(shape, heart, (0.15, 0.14), 0.15, 0.6)
    parenchyma = 0.25 + 0.025 * smooth_noise(generator, shape, (6, 6))
    branching = np.abs(smooth_noise(generator, shape, (15, 15)))
    parenchyma += (
        0.32 * np.clip(1 - branching / 0.22, 0, 1) * step(smooth_noise(generator, shape, (9, 9)) - 0.4, 0.5)
    )
    image += lungs * (parenchyma - image)
    for place in ((0.40, 0.50), (0.66, 0.44)):
        image += 0.10 * ellipse(shape, place, (0.05, 0.045), 0.2)
    for lesion in lesions:
        level = (
            generator.uniform(0.52, 0.64) if lesion.plan.tone == "bright" else generator.uniform(0.05, 0.09)
        )
        _replace(image, lesion, float(level), 0.03, generator)
        if lesion.plan.tone == "dark":
            image += 0.16 * 4 * lesion.profile * (1 - lesion.profile)
    return _scanned(image, generator)


def draw_abdominal_ct(
    shape: tuple[int, int], generator: np.random.Generator, lesions: Sequence[Lesion]
) -> Field:
    """Draw an axial slice through the abdomen, a soft-tissue window; see `draw.DrawScan`."""
    image, inside = _body(shape, generator)
    image += inside * (0.30 + 0.03 * smooth_noise(generator, shape, (5, 5)) - image)
    organs = (
        ((0.44, 0.30), (0.23, 0.20), 0.52, 0.3),
        ((0.46, 0.78), (0.13, 0.10), 0.54, -0.4),
        ((0.64, 0.34), (0.09, 0.07), 0.58, 0.3),
        ((0.64, 0.68), (0.09, 0.07), 0.58, -0.3),
        ((0.56, 0.47), (0.04, 0.035), 0.62, 0.0),
        ((0.40, 0.56), (0.06, 0.13), 0.48, -0.3),
    )
    for (y, x), radii, level, tilt in organs:
        wobble = generator.uniform(-0.02, 0.02, 4)
        sizes = radii[0] * (1 + 4 * wobble[2]), radii[1] * (1 + 4 * wobble[3])
        organ = inside * ellipse(shape, (y + wobble[0], x + wobble[1]), sizes, 0.12, tilt)
        image += organ * (level + 0.02 * smooth_noise(generator, shape, (9, 9)) - image)
    for _ in range(int(generator.integers(2, 5))):
        place = generator.uniform((0.22, 0.35), (0.36, 0.72))
        bowel = inside * ellipse(shape, tuple(place), tuple(generator.uniform(0.03, 0.06, 2)), 0.3)
        image += bowel * (float(generator.choice([0.06, 0.46])) - image)
    for lesion in lesions:
        around = float(np.average(image, weights=lesion.profile))
        offset = (
            generator.uniform(0.20, 0.27) if lesion.plan.tone == "bright" else -generator.uniform(0.20, 0.27)
        )
        _replace(image, lesion, max(around + offset, 0.08), 0.025, generator)
    return _scanned(image, generator)


def _body(shape: tuple[int, int], generator: np.random.Generator) -> tuple[Field, Field]:
    """A trunk of fat, muscle, ribs and a vertebra on its table, and (H, W) 1 inside its wall."""
    y, x = grid(shape)
    rho = radius(y - np.float32(0.5), x - np.float32(0.5), (0.44, 0.48)) + 0.015 * smooth_noise(
        generator, shape, (3, 3)
    )
    image = np.float32(generator.uniform(0.20, 0.26)) * step(1 - rho, 0.03)
    inside = step(np.float32(generator.uniform(0.86, 0.92)) - rho, 0.03)
    image += inside * (0.50 - image)
    angle = np.arctan2(y - np.float32(0.5), x - np.float32(0.5))
    ribs = np.sin(angle * np.float32(generator.integers(9, 13)) + np.float32(generator.uniform(0, 6)))
    image += 0.42 * step(0.025 - np.abs(rho - 0.87), 0.02) * step(ribs - 0.2, 0.3)
    vertebra = ellipse(shape, (0.76, 0.5), (0.065, 0.075), 0.15)
    process = ellipse(shape, (0.85, 0.5), (0.06, 0.018), 0.4)
    image += np.maximum(vertebra, process) * (0.88 - image)
    image += (0.30 - image) * ellipse(shape, (0.825, 0.5), (0.018, 0.02), 0.4)
    cavity = step(np.float32(generator.uniform(0.80, 0.84)) - rho, 0.04) * (1 - vertebra)
    table = np.abs(y - 0.965 + 0.25 * (x - np.float32(0.5)) ** 2)
    image += 0.35 * step(0.006 - table, 0.006)
    return image, cavity


def _replace(
    image: Field, lesion: Lesion, level: float, texture: float, generator: np.random.Generator
) -> None:
    """Put a lesion of its own density in the place of the tissue."""
    shape = image.shape[0], image.shape[1]
    tissue = level + texture * smooth_noise(generator, shape, (14, 14))
    image += lesion.profile * (tissue - image)


def _scanned(image: Field, generator: np.random.Generator) -> Field:
    """Add the grainy noise of reconstruction."""
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    noise[1:] += 0.5 * noise[:-1]
    noise[:, 1:] += 0.5 * noise[:, :-1]
    return image + np.float32(generator.uniform(0.015, 0.035)) * noise
