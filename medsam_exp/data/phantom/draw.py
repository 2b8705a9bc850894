"""From a plan to pixels, masks and captions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medsam_exp.data.phantom.brain_mri import draw_brain_mri
from medsam_exp.data.phantom.captions import lesion_captions, normal_captions
from medsam_exp.data.phantom.chest_xray import draw_chest_xray
from medsam_exp.data.phantom.ct import draw_abdominal_ct, draw_lung_ct
from medsam_exp.data.phantom.fields import Field
from medsam_exp.data.phantom.lesions import Lesion, draw_lesion
from medsam_exp.data.phantom.plan import Content, PhantomPlan, plan_phantom
from medsam_exp.data.phantom.ultrasound import draw_breast_ultrasound
from medsam_exp.data.phantom.vocabulary import VOCABULARIES
from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.types import RGBImage

DrawScan = Callable[[tuple[int, int], np.random.Generator, Sequence[Lesion]], Field]
"""From (H, W) pixels, the source of all randomness, and lesions to be drawn into the tissue in their order, to
(H, W) brightness of about [0, 1]."""
DRAWINGS: dict[str, DrawScan] = {
    "breast_ultrasound": draw_breast_ultrasound,
    "brain_mri": draw_brain_mri,
    "chest_xray": draw_chest_xray,
    "lung_ct": draw_lung_ct,
    "abdominal_ct": draw_abdominal_ct,
}
_ANATOMY_CONTRAST = np.float32(0.70)
_LESION_CONTRAST = np.float32(0.22)
"""Lesions stand out as with a contrast agent: at the looks' own contrast, trials of up to 450 steps learnt nothing."""


@dataclass(frozen=True)
class Phantom:
    """A drawn scan.

    Attributes:
        image: (H, W, 3) uint8 RGB, gray.
        lesions: none, one, or two; their masks are disjoint.
        captions: for each lesion its truthful sentences; for a scan without lesions one entry that says so.
    """

    image: RGBImage
    lesions: tuple[Lesion, ...]
    captions: tuple[tuple[str, ...], ...]


def draw_phantom(seed: int, index: int, content: Content = Content()) -> Phantom:  # noqa: B008 (frozen)
    """Draw one scan with its lesions and captions.

    Args:
        seed: of the set.
        index: of the scan; with `seed` and `content` it decides everything.
        content: how often scans show what.
    """
    plan = plan_phantom(seed, index, content)
    lesions = draw_lesions(plan)
    return Phantom(_draw(plan, lesions), lesions, captions_of(plan))


def draw_image(plan: PhantomPlan) -> RGBImage:
    """(H, W, 3) uint8 RGB of a planned scan."""
    return _draw(plan, draw_lesions(plan))


def draw_lesions(plan: PhantomPlan) -> tuple[Lesion, ...]:
    """The lesions of a planned scan, with true masks."""
    return tuple(draw_lesion(lesion, plan.shape) for lesion in plan.lesions)


def captions_of(plan: PhantomPlan) -> tuple[tuple[str, ...], ...]:
    """Truthful sentences about each lesion of a planned scan, or one entry that there is none."""
    generator, vocabulary = numpy_generator(*plan.key, "captions"), VOCABULARIES[plan.scan]
    if not plan.lesions:
        return (normal_captions(vocabulary, generator),)
    return tuple(lesion_captions(lesion, vocabulary, generator) for lesion in plan.lesions)


def _draw(plan: PhantomPlan, lesions: Sequence[Lesion]) -> RGBImage:
    gray = DRAWINGS[plan.scan](plan.shape, numpy_generator(*plan.key, "drawing"), lesions)
    gray = 0.5 + _ANATOMY_CONTRAST * (gray - 0.5)
    for lesion in lesions:
        gray += lesion.profile * (_LESION_CONTRAST if lesion.plan.tone == "bright" else -_LESION_CONTRAST)
    levels = np.clip(gray * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2)
