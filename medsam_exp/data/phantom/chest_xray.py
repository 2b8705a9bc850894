"""Draws frontal chest radiographs: lungs, ribs, heart, diaphragm, clavicles, marker."""

from collections.abc import Sequence

import numpy as np

from medsam_exp.data.phantom.fields import Field, ellipse, grid, smooth_noise, step
from medsam_exp.data.phantom.lesions import Lesion


def draw_chest_xray(
    shape: tuple[int, int], generator: np.random.Generator, lesions: Sequence[Lesion]
) -> Field:
    """Draw a frontal chest radiograph; see `draw.DrawScan`."""
    image = _thorax(shape, generator)
    lungs = _lungs(shape, generator)
    image -= lungs * np.float32(generator.uniform(0.30, 0.36))
    vessels = np.clip(1 - np.abs(smooth_noise(generator, shape, (16, 16))) / 0.3, 0, 1)
    image += lungs * (0.05 * vessels + 0.03 * smooth_noise(generator, shape, (5, 5)))
    image += _ribs(shape, generator) * (0.04 + 0.06 * lungs)
    for lesion in lesions:
        _add_lesion(image, lesion, generator)
    image += np.float32(generator.uniform(0.012, 0.03)) * generator.standard_normal(shape, dtype=np.float32)
    _stamp_marker(image, generator)
    return image


def _thorax(shape: tuple[int, int], generator: np.random.Generator) -> Field:
    """Soft tissue, spine, heart, diaphragm, shoulders; air outside."""
    y, x = grid(shape)
    image = 0.54 + 0.04 * smooth_noise(generator, shape, (2, 2))
    middle = 0.5 + np.float32(generator.uniform(-0.02, 0.02))
    discs = 0.03 * np.sin(y * np.float32(generator.uniform(85, 110)))
    image += step(0.055 - np.abs(x - middle), 0.06) * (0.12 + discs)
    heart = (generator.uniform(0.62, 0.68), generator.uniform(0.54, 0.57))
    image += 0.11 * ellipse(shape, heart, (0.17, generator.uniform(0.13, 0.17)), 0.25, 0.5)
    dome = np.float32(generator.uniform(0.80, 0.84)) - 0.07 * np.cos((x - middle) * np.float32(12.5))
    image += 0.08 * step(y - dome, 0.05)
    above_shoulders = step(0.10 + 0.9 * np.clip(np.abs(x - middle) - 0.14, 0, 1) ** 1.5 - y, 0.06)
    image -= 0.5 * above_shoulders * step(np.abs(x - middle) - 0.14, 0.04)
    image -= 0.42 * step(np.abs(x - middle) - 0.47 + 0.02 * np.sin(y * 5), 0.03)
    for side in (-1, 1):
        bend = np.float32(0.12) + 0.22 * np.abs(x - middle) * generator.uniform(0.3, 0.8)
        along = step(0.36 - np.abs(x - middle), 0.05) * (side * (x - middle) > 0.03)
        image += 0.11 * np.exp(-(((y - bend) / 0.016) ** 2)) * along
    return image


def _lungs(shape: tuple[int, int], generator: np.random.Generator) -> Field:
    """(H, W) 1 in the lung fields."""
    y, x = grid(shape)
    lungs = np.zeros(shape, np.float32)
    for side in (-1, 1):
        center = (0.47 + generator.uniform(-0.02, 0.02), 0.5 + side * generator.uniform(0.205, 0.225))
        lungs = np.maximum(lungs, ellipse(shape, center, (0.36, 0.175), 0.16, side * 0.10))
    heart_side = step(0.18 - np.hypot(y - 0.66, 0.9 * (x - np.float32(0.54))), 0.06)
    base = step(y - np.float32(generator.uniform(0.76, 0.8)), 0.05)
    result: Field = lungs * (1 - 0.9 * heart_side) * (1 - 0.9 * base)
    return result


def _ribs(shape: tuple[int, int], generator: np.random.Generator) -> Field:
    """(H, W) bright arcs that fall towards the sides."""
    y, x = grid(shape)
    away = np.abs(x - np.float32(0.5))
    phase = y - np.float32(generator.uniform(0.5, 0.9)) * away**1.2 * np.float32(0.55)
    wave = np.sin(phase * np.float32(generator.uniform(58, 72)) + np.float32(generator.uniform(0, 6)))
    chest = step(0.44 - away, 0.05) * step(away - 0.06, 0.05) * step(0.84 - y, 0.1) * step(y - 0.12, 0.05)
    return step(wave - 0.35, 0.5) * chest


def _add_lesion(image: Field, lesion: Lesion, generator: np.random.Generator) -> None:
    """Projection: shadows add up, so ribs and vessels show through."""
    shape = image.shape[0], image.shape[1]
    strength = np.float32(generator.uniform(0.20, 0.27)) * (
        1 + 0.12 * smooth_noise(generator, shape, (12, 12))
    )
    if lesion.plan.tone == "bright":
        image += lesion.profile * strength
        return
    image -= lesion.profile * 0.85 * strength
    rim = 4 * lesion.profile * (1 - lesion.profile)
    image += 0.10 * rim


def _stamp_marker(image: Field, generator: np.random.Generator) -> None:
    """The side marker of lead in an upper corner."""
    height, width = image.shape
    size = max(5, height // 26)
    top = int(height * generator.uniform(0.02, 0.06))
    left = int(width * (0.03 if generator.uniform() < 0.5 else 0.92))
    image[top : top + size, left : left + size] = 0.95
    image[top + 2 : top + size - 1, left + 2 : left + size - 1] = 0.55
