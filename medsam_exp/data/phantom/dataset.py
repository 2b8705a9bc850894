"""Drawn scans as a dataset: images, a text for each, true masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from medsam_exp.data.phantom import DRAWN, GENERATOR_VERSION
from medsam_exp.data.phantom.captions import lesion_captions
from medsam_exp.data.phantom.draw import captions_of, draw_image, draw_lesions
from medsam_exp.data.phantom.lesions import LesionPlan
from medsam_exp.data.phantom.plan import (
    SCANS_BY_MODALITY,
    Content,
    PhantomPlan,
    absent_lesions,
    plan_phantom,
)
from medsam_exp.data.phantom.vocabulary import VOCABULARIES
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.types import Mask, RGBImage, Sample, UserError


class PhantomScans:
    """A set of scans by id, each a pure function of (generator version, seed, index).

    Args:
        seed: of the set, >= 0.
        count: number of scans, >= 1.
        modalities: keys of `SCANS_BY_MODALITY`.
        normal_fraction: share of scans without a lesion, in [0, 1].
        pair_fraction: share of scans with two lesions, in [0, 1]; the two add up to at most 1.

    Raises:
        UserError: a number or a kind of scan makes no sense.
    """

    def __init__(
        self, seed: int, count: int, modalities: Sequence[str], normal_fraction: float, pair_fraction: float
    ) -> None:
        unknown = sorted(set(modalities) - set(SCANS_BY_MODALITY))
        if unknown or not modalities:
            raise UserError(
                f"modalities has {unknown or 'nothing'}; choose from {', '.join(SCANS_BY_MODALITY)}"
            )
        if count < 1 or seed < 0:
            raise UserError(
                f"count={count} and seed={seed}, but at least one scan and a seed >= 0 are needed"
            )
        if min(normal_fraction, pair_fraction) < 0 or normal_fraction + pair_fraction > 1:
            raise UserError(
                f"normal_fraction={normal_fraction} and pair_fraction={pair_fraction}, but both are shares "
                "of the scans: give numbers from 0 to 1 that add up to at most 1"
            )
        self._seed, self._content = seed, Content(tuple(modalities), normal_fraction, pair_fraction)
        self._index = {f"phantom_{seed}_{index:06d}": index for index in range(count)}

    def read_image(self, scan_id: str) -> RGBImage:
        """Draw one scan, (H, W, 3) uint8."""
        return draw_image(self._plan(scan_id))

    def identity(self, scan_id: str) -> str:
        """Which drawn scan it is; scans of equal names have equal pixels, whatever dataset draws them."""
        return f"{DRAWN} {GENERATOR_VERSION} {self._seed} {self._index[scan_id]}"

    def _plan(self, scan_id: str) -> PhantomPlan:
        return plan_phantom(self._seed, self._index[scan_id], self._content)


@dataclass(eq=False, repr=False)
class PhantomDataset(PhantomScans):
    """Drawn scans, each a pure function of (generator version, seed, index).

    The target of a scan is its first lesion: the description is a complete sentence about it, the class name
    is its diagnosis, and the true mask shows it alone, also where a second lesion lies beside it, unless
    `mask_shows` says otherwise. The description of a scan without lesions is a sentence of the same kind about
    one that is not there, and the true mask is empty; so the wording does not tell whether the target is there.
    Every sample also has a contradiction: such a sentence about a lesion of another class at another place.

    Args:
        seed: chooses the set of scans.
        count: number of scans.
        name: short name for tables.
        target: what to find, in words for texts.
        modality: kind of scan, in words for texts.
        sentences: where texts find sentences about the target; see `medsam_exp.text.sentence_files`.
        sentence_lists: which lists of a file of sentences belong to which class.
        modalities: which kinds are drawn, equally often: ultrasound, mri, xray, ct.
        normal_fraction: share of scans without a lesion, in [0, 1].
        pair_fraction: share of scans with two different lesions, in [0, 1].
        mask_shows: the `target` alone, or `every_lesion`, to train a network on all objects of a scan.
        absent_fraction: share of the scans with lesions whose description asks for another lesion, of another
            class and at another place, in [0, 1]; the target is then absent and its mask empty.
        split: what the scans are for: "train", "val", "calibration" or "test".

    Raises:
        UserError: a number or a kind of scan makes no sense.

    Example:
        >>> from medsam_exp import PhantomDataset
        >>> scans = PhantomDataset(seed=2, count=3)
        >>> scans.read_image(scans.samples[0].id).shape
        (192, 216, 3)
    """

    seed: int
    count: int
    name: str = "phantom"
    target: str = "lesion"
    modality: str | None = None
    sentences: str | None = None
    sentence_lists: Mapping[str, str] | None = None
    modalities: Sequence[str] = tuple(SCANS_BY_MODALITY)
    normal_fraction: float = 0.0
    pair_fraction: float = 0.4
    mask_shows: Literal["target", "every_lesion"] = "target"
    absent_fraction: float = 0.0
    split: str = "test"
    has_ground_truth: bool = field(default=True, init=False)
    classes_are_true: bool = field(default=True, init=False)
    notes: tuple[str, ...] = field(default=(), init=False)
    label_names: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.absent_fraction <= 1:
            raise UserError(f"data.absent_fraction={self.absent_fraction}, but it is a share: give 0 to 1")
        super().__init__(self.seed, self.count, self.modalities, self.normal_fraction, self.pair_fraction)
        self.samples = tuple(self._sample(sample_id) for sample_id in self._index)

    def pixel_spacing_mm(self, sample_id: str) -> None:
        """Drawn scans have no size."""

    def image_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of the generator's version and arguments."""
        del digests  # nothing lies in files
        return text_digest(*map(str, self._plan(sample_id).key), str(self._content))

    def read_ground_truth(self, sample_id: str) -> Mask:
        """Draw the mask of the target, or of every lesion, (H, W) bool."""
        plan = self._plan(sample_id)
        mask = np.zeros(plan.shape, dtype=bool)
        for lesion in draw_lesions(plan)[self._lesions_shown(sample_id)]:
            mask |= lesion.mask
        return mask

    def ground_truth_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of what decides the image and of which lesions its mask shows; `digests` is not needed."""
        first = self._lesions_shown(sample_id).start
        which = f"lesion {first}" if first else self.mask_shows
        absent = str(self._asks_for_absent(self._plan(sample_id)))
        return text_digest(self.image_digest(sample_id, digests), which, absent)

    def _lesions_shown(self, sample_id: str) -> slice:
        """Which lesions of a scan are in its true mask: none where the text asks for one that is not there."""
        if self.mask_shows == "every_lesion":
            return slice(0, None)
        return slice(0, int(not self._asks_for_absent(self._plan(sample_id))))

    def _sample(self, sample_id: str) -> Sample:
        plan = self._plan(sample_id)
        class_name = plan.lesions[0].class_name if plan.lesions else None
        absent = (_complete_sentence(plan, lesion) for lesion in absent_lesions(plan))
        description = next(absent) if self._asks_for_absent(plan) else captions_of(plan)[0][0]
        return Sample(sample_id, class_name, description, next(absent))

    def _asks_for_absent(self, plan: PhantomPlan) -> bool:
        """Whether the description is about a lesion that the scan does not show."""
        draw = numpy_generator(*plan.key, "asks for absent").uniform()
        return not plan.lesions or bool(draw < self.absent_fraction)


def _complete_sentence(plan: PhantomPlan, lesion: LesionPlan) -> str:
    generator = numpy_generator(*plan.key, "absent caption", lesion.outline_seed)
    return lesion_captions(lesion, VOCABULARIES[plan.scan], generator)[0]
