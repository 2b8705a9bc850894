"""The look of a contrast test object: inserts in an even, noisy background, as physicists use to check scanners."""

from collections.abc import Sequence

import numpy as np

from medsam_exp.data.phantom.fields import Field
from medsam_exp.data.phantom.lesions import Lesion


def draw_test_object(
    shape: tuple[int, int], generator: np.random.Generator, lesions: Sequence[Lesion]
) -> Field:
    """(H, W) brightness, about [0, 1]."""
    image = np.full(shape, generator.uniform(0.35, 0.6), np.float32)
    for lesion in lesions:
        contrast = np.float32(generator.uniform(0.2, 0.32))
        image += lesion.profile * (contrast if lesion.plan.tone == "bright" else -contrast)
    noise = np.float32(generator.uniform(0.02, 0.08))
    return image + noise * generator.standard_normal(shape, dtype=np.float32)
