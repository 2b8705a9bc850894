"""Draws breast ultrasound: layers, speckle, attenuation, shadow and enhancement."""

from collections.abc import Sequence

import numpy as np

from medsam_exp.data.phantom.fields import Field, grid, smooth_noise, step
from medsam_exp.data.phantom.lesions import Lesion

_ECHO = {"dark": 0.22, "bright": 2.7}
_BEHIND = {"round": 1.5, "oval": 1.25, "lobulated": 0.7, "spiculated": 0.45}
"""Echoes behind dark lesions: fluid and benign tumours let sound through, malignant ones swallow it."""


def draw_breast_ultrasound(
    shape: tuple[int, int], generator: np.random.Generator, lesions: Sequence[Lesion]
) -> Field:
    """Draw a breast ultrasound; see `draw.DrawScan`."""
    y, _ = grid(shape)
    echo = _layers(shape, generator)
    for lesion in lesions:
        if lesion.plan.tone == "dark":
            echo *= _sound_behind(lesion, shape)
        target = _ECHO[lesion.plan.tone] * float(generator.uniform(0.85, 1.1))
        inner = target * (1 + 0.12 * smooth_noise(generator, shape, (12, 12)))
        around = np.average(echo, weights=lesion.profile)
        echo += lesion.profile * (inner * around - echo)
    attenuation = np.exp(-y * np.float32(generator.uniform(0.2, 1.1)))
    brightness = np.maximum(echo * attenuation, 0) * _speckle(shape, generator)
    result: Field = 0.68 * np.sqrt(brightness) - 0.06
    return result


def _layers(shape: tuple[int, int], generator: np.random.Generator) -> Field:
    """Mean echo strength: skin, fat with lobules, gland with bright strands, muscle, chest wall."""
    y, _ = grid(shape)
    depths = [generator.uniform(*span) for span in ((0.025, 0.05), (0.14, 0.3), (0.66, 0.8), (0.84, 0.92))]
    waves = [smooth_noise(generator, shape, (1, 4)) for _ in range(2)]
    skin = step(np.float32(depths[0]) - y, 0.02)
    gland = step(y - np.float32(depths[1]) + 0.03 * waves[0], 0.08)
    muscle = step(y - np.float32(depths[2]) + 0.025 * waves[1], 0.05)
    lobules, texture = smooth_noise(generator, shape, (7, 4)), smooth_noise(generator, shape, (26, 13))
    echo = (0.26 + 0.26 * gland) * np.exp(0.38 * lobules + 0.22 * texture)
    echo += muscle * (0.24 * np.exp(0.3 * texture) - echo)
    echo += 0.5 * _strands(shape, generator, (13, 3)) * (1 - 0.6 * muscle)
    echo += 0.8 * _strands(shape, generator, (12, 1)) * muscle
    wall = np.exp(-(((y - np.float32(depths[3]) + 0.02 * waves[0]) / 0.012) ** 2))
    fascia = np.exp(-(((y - np.float32(depths[1]) + 0.03 * waves[0]) / 0.009) ** 2))
    echo += (0.9 * wall + 0.35 * fascia) * np.exp(0.5 * lobules) + 0.6 * skin
    result: Field = np.maximum(echo, 0.05)
    return result


def _strands(shape: tuple[int, int], generator: np.random.Generator, cells: tuple[int, int]) -> Field:
    """(H, W) bright lines, mostly across the beam, broken in places."""
    lines = np.clip(1 - np.abs(smooth_noise(generator, shape, cells)) / 0.2, 0, 1)
    return lines * step(smooth_noise(generator, shape, (4, 5)) - 0.5, 0.8)


def _sound_behind(lesion: Lesion, shape: tuple[int, int]) -> Field:
    """Factor on echoes below a lesion."""
    y, x = grid(shape)
    rows, columns = np.flatnonzero(lesion.mask.any(1)), np.flatnonzero(lesion.mask.any(0))
    bottom = (rows[-1] - 0.15 * len(rows)) / shape[0]
    center, half = columns.mean() / shape[1], 0.5 * len(columns) / shape[1]
    beam = step(np.float32(0.75 * half) - np.abs(x - np.float32(center)), 0.5 * half)
    below = step(y - np.float32(bottom), 0.05) * np.exp(-2.0 * np.clip(y - np.float32(bottom), 0, 1))
    result: Field = 1 + np.float32(_BEHIND[lesion.plan.shape] - 1) * beam * below
    return result


def _speckle(shape: tuple[int, int], generator: np.random.Generator) -> Field:
    """(H, W) positive multiplicative interference pattern of mean about 1, broader sideways."""
    height, width = shape
    waves = generator.standard_normal((2, height + 1, width + 3), dtype=np.float32)
    wide = waves[:, :, :-3] + waves[:, :, 3:] + 1.6 * (waves[:, :, 1:-2] + waves[:, :, 2:-1])
    grains = wide[:, 1:] + 0.7 * wide[:, :-1]
    grains += 9.0  # a coherent part keeps the tissue between the speckles visible
    result: Field = (grains[0] ** 2 + grains[1] ** 2) / 185.0
    return result
