"""Drawn scans as a dataset of several classes per image: one sample for every lesion."""

from collections.abc import Mapping, Sequence

from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.data.phantom.draw import captions_of
from medsam_exp.data.phantom.plan import SCANS_BY_MODALITY
from medsam_exp.types import Sample


class PhantomClassDataset(PhantomDataset):
    """Drawn scans with one sample for each lesion.

    A scan with two lesions gives two samples, SCAN@CLASS each: class name, description and true mask are those of
    the one lesion. Two lesions of a scan never have the same class. A scan without lesions gives one sample, SCAN,
    as in `PhantomDataset`.

    Args:
        seed: chooses the set of scans.
        count: number of scans; there are more samples.
        name: short name for tables.
        target: what to find, in words for texts.
        modality: kind of scan, in words for texts.
        sentences: where texts find sentences about the target; see `medsam_exp.text.sentence_files`.
        sentence_lists: which lists of a file of sentences belong to which class.
        modalities: which kinds are drawn, equally often: ultrasound, mri, xray, ct.
        normal_fraction: share of scans without a lesion, in [0, 1].
        pair_fraction: share of scans with two different lesions, in [0, 1].
        split: what the scans are for: train, val, calibration, test.

    Raises:
        UserError: a number or a kind of scan makes no sense.
    """

    def __init__(
        self,
        seed: int,
        count: int,
        name: str = "phantom_classes",
        target: str = "lesion",
        modality: str | None = None,
        sentences: str | None = None,
        sentence_lists: Mapping[str, str] | None = None,
        modalities: Sequence[str] = tuple(SCANS_BY_MODALITY),
        normal_fraction: float = 0.0,
        pair_fraction: float = 1.0,
        split: str = "test",
    ) -> None:
        super().__init__(
            seed,
            count,
            name=name,
            target=target,
            modality=modality,
            sentences=sentences,
            sentence_lists=sentence_lists,
            modalities=modalities,
            normal_fraction=normal_fraction,
            pair_fraction=pair_fraction,
            split=split,
        )
        scans, self._lesion_numbers = self.samples, dict[str, int]()
        expanded = [sample for scan in scans for sample in self._samples_of(scan)]
        self.samples = tuple(sorted(expanded, key=lambda sample: sample.id))
        self.label_names = tuple(sorted({sample.class_name or "" for sample in expanded if sample.image_id}))

    def _samples_of(self, scan: Sample) -> list[Sample]:
        """A sample for each lesion of a scan; the scan itself where it has none."""
        plan, samples = self._plan(scan.id), []
        for number, lesion in enumerate(plan.lesions):
            sample_id = f"{scan.id}@{lesion.class_name}"
            self._index[sample_id], self._lesion_numbers[sample_id] = self._index[scan.id], number
            caption = captions_of(plan)[number][0]
            samples.append(Sample(sample_id, lesion.class_name, caption, scan.contradiction, scan.id))
        return samples or [scan]

    def _lesions_shown(self, sample_id: str) -> slice:
        number = self._lesion_numbers.get(sample_id, 0)
        return slice(number, number + 1)
