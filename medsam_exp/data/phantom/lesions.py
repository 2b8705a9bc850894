"""A lesion: planned in words and numbers, then drawn as a soft profile and a true mask."""

from dataclasses import dataclass

import numpy as np

from medsam_exp.data.phantom.fields import Field, step
from medsam_exp.data.phantom.vocabulary import place_name
from medsam_exp.types import Mask

RADII = {"small": (0.070, 0.090), "large": (0.125, 0.165)}
"""Radius of the disc of equal area, as a share of the image's geometric mean side, by size."""

EXTENTS = {"round": 1.1, "oval": 1.45, "lobulated": 1.4, "spiculated": 1.55}
"""How far the outline reaches from the centre, in radii of the disc of equal area, by shape."""


@dataclass(frozen=True)
class LesionPlan:
    """What a lesion will look like.

    Attributes:
        class_name: diagnosis that the appearance stands for.
        shape: round, oval, lobulated or spiculated.
        size: small or large.
        tone: dark or bright, compared with the tissue around.
        center: (y, x) relative coordinates.
        radius: of the disc of equal area, share of the geometric mean side.
        outline_seed: decides the details of the outline.
    """

    class_name: str
    shape: str
    size: str
    tone: str
    center: tuple[float, float]
    radius: float
    outline_seed: int

    @property
    def place(self) -> str:
        """Name of the ninth of the image in which the lesion lies."""
        return place_name(*self.center)


@dataclass(frozen=True)
class Lesion:
    """A drawn lesion.

    Attributes:
        plan: the words that are true of it.
        mask: (H, W) bool, original frame.
        profile: (H, W) float32 in [0, 1], the mask with a soft rim.
    """

    plan: LesionPlan
    mask: Mask
    profile: Field


def draw_lesion(plan: LesionPlan, shape: tuple[int, int]) -> Lesion:
    """Draw the outline of a planned lesion.

    Args:
        plan: the lesion.
        shape: (H, W) pixels of the image.
    """
    generator = np.random.default_rng(plan.outline_seed)
    height, width = shape
    pixels = plan.radius * float(np.sqrt(height * width))
    row, column = plan.center[0] * height - 0.5, plan.center[1] * width - 0.5
    reach = 2.4 * pixels
    top, bottom = max(0, int(row - reach)), min(height, int(row + reach) + 2)
    left, right = max(0, int(column - reach)), min(width, int(column + reach) + 2)
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(row)
    dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(column)

    inside = _signed_distance(plan.shape, pixels, dy, dx, generator)
    mask, profile = np.zeros(shape, bool), np.zeros(shape, np.float32)
    mask[top:bottom, left:right] = inside > 0
    profile[top:bottom, left:right] = step(inside, 2.5)
    return Lesion(plan, mask, profile)


def _signed_distance(
    shape: str, pixels: float, dy: Field, dx: Field, generator: np.random.Generator
) -> Field:
    """About the distance to the outline in pixels, positive inside."""
    tilt = generator.uniform(-0.5, 0.5)
    aspect = generator.uniform(1.6, 2.0) if shape == "oval" else generator.uniform(1.0, 1.12)
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    short = (cos * dy - sin * dx) * np.float32(np.sqrt(aspect))
    long = (sin * dy + cos * dx) / np.float32(np.sqrt(aspect))
    angles = np.linspace(-np.pi, np.pi, 257)
    outline = _outline(shape, angles, generator)
    outline *= pixels / np.sqrt(np.mean(outline[:-1] ** 2))
    rim = np.interp(np.arctan2(short, long), angles, outline).astype(np.float32)
    return rim - np.sqrt(short**2 + long**2)


def _outline(shape: str, angles: Field, generator: np.random.Generator) -> Field:
    """Relative radius at each angle."""
    outline = np.ones_like(angles)
    for wave in (2, 3, 4):
        outline += 0.02 * generator.standard_normal() * np.cos(wave * angles + generator.uniform(0, 6.3))
    if shape == "lobulated":
        lobes = int(generator.integers(3, 6))
        outline += generator.uniform(0.2, 0.28) * np.cos(lobes * angles + generator.uniform(0, 6.3))
        outline += generator.uniform(0.08, 0.14) * np.cos((lobes + 2) * angles + generator.uniform(0, 6.3))
    elif shape == "spiculated":
        spikes = int(generator.integers(8, 12))
        wave = 0.5 + 0.5 * np.cos(spikes * angles + generator.uniform(0, 6.3))
        height = 0.75 + 0.25 * np.cos(angles * int(generator.integers(2, 4)) + generator.uniform(0, 6.3))
        outline += 1.1 * height * wave**2
    return outline
