"""Drawn scans as a dataset of several classes per image: one sample for every lesion."""

from dataclasses import dataclass, field
from typing import Literal

from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.data.phantom.draw import captions_of
from medsam_exp.types import Sample


@dataclass(eq=False, repr=False)
class PhantomClassDataset(PhantomDataset):
    """Drawn scans with one sample for each lesion.

    A scan with two lesions gives two samples, SCAN@CLASS each: class name, description and true mask are those of
    the one lesion. Two lesions of a scan never have the same class. A scan without lesions gives one sample, SCAN,
    as in `PhantomDataset`.

    Args and errors are those of `PhantomDataset`, but for `mask_shows` and `absent_fraction`; there are more samples
    than `count` scans.
    """

    name: str = "phantom_classes"
    pair_fraction: float = 1.0
    mask_shows: Literal["target", "every_lesion"] = field(default="target", init=False)
    absent_fraction: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
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
