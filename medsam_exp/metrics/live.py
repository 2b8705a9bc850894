"""All measures over many images, while they are computed and over several processes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.metrics.summary import summarise
from medsam_exp.types import Mask


class SegmentationScores(Metric):
    """The measures summarised over all images seen by all processes.

    Several processes give exactly the figures of one: rows travel with their sample's number, and a sample
    that came twice, as padded samplers send it, counts once.

    Args:
        measures: what to compute for each image.
        spacing_mm: (row, column) size of a pixel, or None when unknown.
        seed: of the confidence intervals.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    rows: list[Tensor]

    def __init__(
        self, measures: SegmentationMeasures, spacing_mm: tuple[float, float] | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.measures, self.spacing_mm, self.seed = measures, spacing_mm, seed
        # One flat float64 list: a process without samples contributes an empty 1-D tensor of the metric's own
        # type, and gathering needs equal ranks and types everywhere.
        self.set_dtype(torch.float64)
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(
        self, sample_indices: Sequence[int], predictions: Sequence[Mask], ground_truths: Sequence[Mask]
    ) -> None:
        """Score some images.

        Args:
            sample_indices: each image's position in the dataset.
            predictions: (H, W) bool each, original frame.
            ground_truths: (H, W) bool each, original frame.
        """
        for index, prediction, ground_truth in zip(sample_indices, predictions, ground_truths, strict=True):
            scores = self.measures(prediction, ground_truth, self.spacing_mm)
            row = [index, *(scores[name] for name in self.measures.names(self.spacing_mm))]
            self.rows.append(torch.tensor(row, dtype=torch.float64, device=self.device))

    def compute(self) -> Mapping[str, dict[str, float | list[float]]]:
        """Return `mean`, `std`, `ci95` and `n` by measure; nothing before the first image."""
        names = self.measures.names(self.spacing_mm)
        rows = dim_zero_cat(self.rows).reshape(-1, 1 + len(names)).cpu() if len(self.rows) else torch.empty(0)
        by_sample = {int(row[0]): row[1:].tolist() for row in rows}
        columns = zip(*by_sample.values(), strict=True)
        return {name: summarise(column, self.seed) for name, column in zip(names, columns, strict=False)}
