"""What a drawn scan will show, decided before anything is drawn."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.phantom import GENERATOR_VERSION
from medsam_exp.data.phantom.lesions import EXTENTS, RADII, LesionPlan
from medsam_exp.data.phantom.vocabulary import SHAPES, SIZES, TONES, VOCABULARIES
from medsam_exp.runtime.seeding import numpy_generator


@dataclass(frozen=True)
class _Region:
    """An ellipse in relative coordinates.

    Attributes:
        center: (y, x).
        radii: half axes (y, x).
        margin: how far a lesion stays away from the rim, in its own radii.
    """

    center: tuple[float, float]
    radii: tuple[float, float]
    margin: float = 1.0


_REGIONS: dict[str, tuple[_Region, ...]] = {
    "breast_ultrasound": (_Region((0.52, 0.5), (0.46, 0.60)),),
    "brain_mri": (_Region((0.5, 0.5), (0.42, 0.37), 0.9),),
    "chest_xray": (_Region((0.48, 0.29), (0.34, 0.19), 0.65), _Region((0.48, 0.71), (0.34, 0.19), 0.65)),
    "lung_ct": (_Region((0.48, 0.29), (0.28, 0.18), 0.7), _Region((0.48, 0.71), (0.28, 0.18), 0.7)),
    "abdominal_ct": (_Region((0.44, 0.5), (0.34, 0.42), 0.9),),
}


SCANS_BY_MODALITY: dict[str, tuple[str, ...]] = {
    "ultrasound": ("breast_ultrasound",),
    "mri": ("brain_mri",),
    "xray": ("chest_xray",),
    "ct": ("lung_ct", "abdominal_ct"),
}
_SIDES = np.arange(144, 225, 8)
_TRIES = 60


@dataclass(frozen=True)
class Content:
    """How often scans show what.

    Attributes:
        modalities: drawn equally often.
        normal_fraction: share of scans without a lesion.
        pair_fraction: share of scans with two different lesions.
    """

    modalities: tuple[str, ...] = tuple(SCANS_BY_MODALITY)
    normal_fraction: float = 0.0
    pair_fraction: float = 0.4


@dataclass(frozen=True)
class PhantomPlan:
    """A scan to be drawn.

    Attributes:
        scan: kind of scan, a key of `VOCABULARIES`.
        shape: (H, W) pixels.
        lesions: none, one, or two that differ.
        key: what the drawing's and the captions' randomness is derived from.
    """

    scan: str
    shape: tuple[int, int]
    lesions: tuple[LesionPlan, ...]
    key: tuple[str | int, ...]


@lru_cache(maxsize=1024)
def plan_phantom(seed: int, index: int, content: Content) -> PhantomPlan:
    """Decide what a scan shows, before it is drawn.

    Args:
        seed: of the set.
        index: of the scan.
        content: how often scans show what.
    """
    key = ("phantom", GENERATOR_VERSION, seed, index)
    generator = numpy_generator(*key)
    modality = content.modalities[int(generator.integers(len(content.modalities)))]
    scan = _choose(generator, SCANS_BY_MODALITY[modality])
    height, width = (int(side) for side in generator.choice(_SIDES, 2))
    draw = generator.uniform()
    count = 0 if draw < content.normal_fraction else 1
    count += int(draw >= 1 - content.pair_fraction)
    lesions: tuple[LesionPlan, ...] = ()
    while len(lesions) < count:
        lesions = _plan_lesions(generator, scan, (height, width), count)
    return PhantomPlan(scan, (height, width), lesions, key)


def absent_lesions(plan: PhantomPlan) -> Iterator[LesionPlan]:
    """Two lesions that a scan could show but does not.

    Their class and place are those of none of its lesions, nor of each other.
    """
    generator = numpy_generator(*plan.key, "absent")
    taken = list(plan.lesions)
    while len(taken) < len(plan.lesions) + 2:
        lesion = _plan_lesion(generator, plan.scan, plan.shape)
        if lesion is not None and all(
            lesion.class_name != other.class_name and lesion.place != other.place for other in taken
        ):
            taken.append(lesion)
            yield lesion


def _plan_lesions(
    generator: np.random.Generator, scan: str, shape: tuple[int, int], count: int
) -> tuple[LesionPlan, ...]:
    """Up to `count` lesions; fewer when there was no room for the second."""
    lesions: list[LesionPlan] = []
    for _ in range(_TRIES):
        lesion = _plan_lesion(generator, scan, shape)
        if lesion is not None and all(_differ(lesion, other, shape) for other in lesions):
            lesions.append(lesion)
        if len(lesions) == count:
            break
    return tuple(lesions)


def _plan_lesion(generator: np.random.Generator, scan: str, shape: tuple[int, int]) -> LesionPlan | None:
    """One lesion of any look, at a place with room for it; None when no such place was found."""
    tone, outline, size = (_choose(generator, words) for words in (TONES, SHAPES, SIZES))
    radius = float(generator.uniform(*RADII[size]))
    seed = int(generator.integers(2**62))
    for attempt in range(_TRIES):
        if attempt % 10 == 0:  # stay in one ninth for a while, or rare places would hardly ever be taken
            ninth = generator.integers(3, size=2)
        center = _center_within(ninth, generator)
        if _fits(center, radius * EXTENTS[outline], shape, _REGIONS[scan]):
            class_name = VOCABULARIES[scan].classes[tone, outline][0]
            return LesionPlan(class_name, outline, size, tone, center, radius, seed)
    return None


def _center_within(ninth: NDArray[np.int64], generator: np.random.Generator) -> tuple[float, float]:
    """A point of a ninth of the image, far enough from the next ninth for its place to have one name."""
    y, x = (ninth + generator.uniform(0.08, 0.92, size=2)) / 3
    return float(y), float(x)


def _choose(generator: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(generator.integers(len(options)))]


def _fits(
    center: tuple[float, float], extent: float, shape: tuple[int, int], regions: tuple[_Region, ...]
) -> bool:
    """Whether a lesion stays within the image and, for the most part, within one of the regions."""
    pixels = extent * np.sqrt(shape[0] * shape[1])
    reach = pixels / shape[0], pixels / shape[1]
    if any(not r <= c <= 1 - r for c, r in zip(center, reach, strict=True)):
        return False
    for region in regions:
        room = [half - region.margin * r for half, r in zip(region.radii, reach, strict=True)]
        offset = [c - middle for c, middle in zip(center, region.center, strict=True)]
        if min(room) > 0 and np.hypot(offset[0] / room[0], offset[1] / room[1]) <= 1:
            return True
    return False


def _differ(lesion: LesionPlan, other: LesionPlan, shape: tuple[int, int]) -> bool:
    """Whether two lesions lie apart, in places of different names, and do not look alike."""
    gap = math.dist(
        [c * side for c, side in zip(lesion.center, shape, strict=True)],
        [c * side for c, side in zip(other.center, shape, strict=True)],
    )
    apart = gap > 1.5 * (lesion.radius + other.radius) * np.sqrt(shape[0] * shape[1])
    differences = sum(getattr(lesion, word) != getattr(other, word) for word in ("tone", "shape", "size"))
    return bool(apart) and lesion.place != other.place and differences >= 2
