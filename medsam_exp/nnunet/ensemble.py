"""How the masks of an ensemble are made: which checkpoints, and how each of them predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsam_exp.nnunet.results import NEEDED, ResultsFolder, results_folder
from medsam_exp.types import UserError

PRECISIONS = ("32-true", "bf16-mixed")


@dataclass(frozen=True)
class EnsembleSettings:
    """Numbers of the prediction.

    Attributes:
        results: a results folder trained elsewhere, by stock nnU-Net or by us: TRAINER__PLANS__CONFIGURATION; None
            for the network trained in the same run.
        checkpoints: pattern of the files in each fold of `results` that are the ensemble's members.
        folds: folds of `results`; None for all that are there.
        mirroring: average over mirrored images, four times the work.
        step: of the sliding window, as a share of the patch, in (0, 1].
        threshold: of the foreground's mean probability, in (0, 1); of several classes the likeliest wins instead.
        precision: of the network, "32-true" or "bf16-mixed" (`medsam_exp.nnunet.bfloat16`); the Trainer's is of
            trainings.
    """

    results: str | None
    checkpoints: str
    folds: Sequence[int | str] | None
    mirroring: bool
    step: float
    threshold: float
    precision: str

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise UserError(f"ensemble.step is {self.step}, but it must be in (0, 1]")
        if not 0 < self.threshold < 1:
            raise UserError(f"ensemble.threshold is {self.threshold}, but it must be in (0, 1)")
        if self.precision not in PRECISIONS:
            raise UserError(f"ensemble.precision is {self.precision}; give {' or '.join(PRECISIONS)}")

    def trained_elsewhere(self) -> ResultsFolder | None:
        """The given results folder, or None.

        Raises:
            UserError: something is missing in it.
        """
        if self.results is None:
            return None
        return results_folder(Path(self.results).expanduser(), self.checkpoints, self.folds)


def weight_files(**options: Any) -> list[Path]:
    """Files that decide the predictions of a given results folder; none for the network trained in the run.

    Args:
        options: of `EnsembleSettings`.

    Raises:
        UserError: something is missing in the folder.
    """
    found = EnsembleSettings(**options).trained_elsewhere()
    return [] if found is None else [*(found.folder / name for name in NEEDED), *found.members]
