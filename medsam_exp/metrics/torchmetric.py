"""All measures over many images, while they are computed and over several processes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.metrics.summary import summarise
from medsam_exp.types import Mask

_ANY_SPACING = (1.0, 1.0)  # all images have rows of one length, whether or not their spacing is known
_UNKNOWN = math.nan


class SegmentationScores(Metric):
    """The measures summarised over all images seen by all processes.

    Several processes give exactly the figures of one: rows travel with their sample's number, and a sample
    that came twice, as padded samplers send it, counts once.

    Args:
        measures: what to compute for each image.
        seed: of the confidence intervals.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    rows: list[Tensor]

    def __init__(self, measures: SegmentationMeasures, seed: int = 0) -> None:
        super().__init__()
        self.measures, self.seed = measures, seed
        # One flat float64 list: a process without samples contributes an empty 1-D tensor of the metric's own
        # type, and gathering needs equal ranks and types everywhere.
        self.set_dtype(torch.float64)
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(
        self,
        sample_indices: Sequence[int],
        predictions: Sequence[Mask],
        ground_truths: Sequence[Mask],
        spacings_mm: Sequence[tuple[float, float] | None],
    ) -> None:
        """Score some images.

        Args:
            sample_indices: each image's position in the dataset.
            predictions: (H, W) bool each, original frame.
            ground_truths: (H, W) bool each, original frame.
            spacings_mm: (row, column) size of a pixel of each, or None where it is unknown.
        """
        images = zip(sample_indices, predictions, ground_truths, spacings_mm, strict=True)
        for index, prediction, ground_truth, spacing_mm in images:
            scores = self.measures(prediction, ground_truth, spacing_mm)
            row = [index, *(scores.get(name, _UNKNOWN) for name in self.measures.names(_ANY_SPACING))]
            self.rows.append(torch.tensor(row, dtype=torch.float64, device=self.device))

    def compute(self) -> Mapping[str, dict[str, Any]]:
        """Return `mean`, `std`, `ci95` and `n` by measure; nothing before the first image.

        What is measured in mm is summarised over the images whose spacing is known, and left out where there are none.
        """
        names = self.measures.names(_ANY_SPACING)
        rows = dim_zero_cat(self.rows).reshape(-1, 1 + len(names)).cpu() if len(self.rows) else torch.empty(0)
        by_sample = {int(row[0]): row[1:].tolist() for row in rows}
        columns = zip(*by_sample.values(), strict=True)
        known = {
            name: [value for value in column if not math.isnan(value)]
            for name, column in zip(names, columns, strict=False)
        }
        return {name: summarise(values, self.seed) for name, values in known.items() if values}
