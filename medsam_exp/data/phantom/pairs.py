"""Drawn scans with captions as image-text pairs."""

from collections.abc import Sequence

from medsam_exp.data.phantom import GENERATOR_VERSION
from medsam_exp.data.phantom.captions import COMPLETE
from medsam_exp.data.phantom.dataset import PhantomScans
from medsam_exp.data.phantom.draw import captions_of
from medsam_exp.data.phantom.plan import SCANS_BY_MODALITY
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.runtime.seeding import numpy_generator


class PhantomPairs(PhantomScans):
    """Drawn scans and every truthful sentence about them.

    A sentence speaks of one lesion only. A scan with two lesions has the sentences of both, so that a network
    has to know both to recognise either.

    Args:
        seed: chooses the set of scans.
        count: number of scans.
        modalities: which kinds are drawn, equally often: ultrasound, mri, xray, ct.
        normal_fraction: share of scans without a lesion, in [0, 1].
        pair_fraction: share of scans with two different lesions, in [0, 1].
        short_captions: sentences about a lesion that leave something out, beside the complete ones.

    Raises:
        UserError: a number or a kind of scan makes no sense.
    """

    notes: tuple[str, ...] = ()
    patients: None = None

    def __init__(
        self,
        seed: int,
        count: int,
        modalities: Sequence[str] = tuple(SCANS_BY_MODALITY),
        normal_fraction: float = 0.05,
        pair_fraction: float = 0.4,
        short_captions: int = 2,
    ) -> None:
        super().__init__(seed, count, modalities, normal_fraction, pair_fraction)
        self._short_captions = short_captions
        self.ids = tuple(self._index)

    def captions(self, pair_id: str) -> tuple[str, ...]:
        """Complete sentences about the scan, and some of the shorter ones."""
        plan = self._plan(pair_id)
        if not plan.lesions:
            return captions_of(plan)[0]
        generator = numpy_generator(*plan.key, "short captions")
        chosen: list[str] = []
        for group in captions_of(plan):
            complete, shorter = group[: len(COMPLETE)], group[len(COMPLETE) :]
            chosen += [*complete, *generator.permutation(shorter)[: self._short_captions].tolist()]
        return tuple(chosen)

    def digest(self, digests: FileDigests) -> str:
        """Hash of the generator's version and arguments."""
        del digests  # nothing lies in files
        arguments = (self._seed, len(self.ids), self._content, self._short_captions)
        return text_digest(GENERATOR_VERSION, *map(str, arguments))
