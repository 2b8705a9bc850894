"""The look of breast ultrasound: layers, speckle, attenuation, shadow and enhancement."""

from collections.abc import Sequence

import numpy as np

from medsam_exp.data.phantom.fields import Field, grid, smooth_noise, step
from medsam_exp.data.phantom.lesions import Lesion

_ECHO = {"dark": 0.30, "bright": 2.3}
_BEHIND = {"round": 1.5, "oval": 1.25, "lobulated": 0.7, "spiculated": 0.45}
"""Echoes behind dark lesions: fluid and benign tumours let sound through, malignant ones swallow it."""


def draw_breast_ultrasound(
    shape: tuple[int, int], generator: np.random.Generator, lesions: Sequence[Lesion]
) -> Field:
    """(H, W) brightness, about [0, 1]."""
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
    return 0.62 * np.sqrt(brightness) - 0.06


def _layers(shape: tuple[int, int], generator: np.random.Generator) -> Field:
    """Mean echo strength: skin, fat with lobules, gland with bright strands, muscle, chest wall."""
    y, _ = grid(shape)
    depths = [generator.uniform(*span) for span in ((0.03, 0.06), (0.16, 0.3), (0.68, 0.8), (0.84, 0.92))]
    waves = [smooth_noise(generator, shape, (1, 4)) for _ in range(2)]
    skin = step(np.float32(depths[0]) - y, 0.02)
    gland = step(y - np.float32(depths[1]) + 0.03 * waves[0], 0.06)
    muscle = step(y - np.float32(depths[2]) + 0.025 * waves[1], 0.04)
    lobules = smooth_noise(generator, shape, (6, 4))
    strands = np.exp(-((smooth_noise(generator, shape, (14, 3)) / 0.16) ** 2))
    echo = 0.5 + 0.16 * lobules + (0.5 + 0.06 * lobules) * gland + 0.55 * strands * (1 - 0.5 * gland)
    echo += muscle * (0.42 + 0.7 * np.exp(-((smooth_noise(generator, shape, (10, 1)) / 0.2) ** 2)) - echo)
    wall = np.exp(-(((y - np.float32(depths[3]) + 0.02 * waves[0]) / 0.012) ** 2))
    fibrous = np.exp(-(((y - np.float32(depths[1]) + 0.03 * waves[0]) / 0.010) ** 2))
    echo += 1.2 * wall + 0.7 * fibrous + 2.0 * skin
    return np.maximum(echo, 0.06)


def _sound_behind(lesion: Lesion, shape: tuple[int, int]) -> Field:
    """Factor on echoes below a lesion."""
    y, x = grid(shape)
    rows, columns = np.flatnonzero(lesion.mask.any(1)), np.flatnonzero(lesion.mask.any(0))
    bottom = (rows[-1] - 0.15 * len(rows)) / shape[0]
    center, half = columns.mean() / shape[1], 0.5 * len(columns) / shape[1]
    beam = step(np.float32(0.75 * half) - np.abs(x - np.float32(center)), 0.5 * half)
    below = step(y - np.float32(bottom), 0.05) * np.exp(-2.0 * np.clip(y - np.float32(bottom), 0, 1))
    return 1 + np.float32(_BEHIND[lesion.plan.shape] - 1) * beam * below


def _speckle(shape: tuple[int, int], generator: np.random.Generator) -> Field:
    """(H, W) positive multiplicative interference pattern of mean about 1, broader sideways."""
    height, width = shape
    waves = generator.standard_normal((2, height, width + 3), dtype=np.float32)
    wide = waves[:, :, :-3] + waves[:, :, 3:] + 1.6 * (waves[:, :, 1:-2] + waves[:, :, 2:-1])
    wide[:, 1:] += 0.5 * wide[:, :-1]
    wide += 6.5  # a coherent part keeps the tissue between the speckles visible
    return (wide[0] ** 2 + wide[1] ** 2) / 102.0
