"""Do intervals cover the truth, and do tests cry wolf, when images are slices of patients? A simulation.

`python -m benchmarks.sim_cluster_coverage [REPETITIONS]` prints a table. Every score is a patient's own deviation plus
an image's (standard deviations 0.05 and 0.03) around a true mean of 0, so that the same scores are differences of two
equal methods. Beside our figures stand those that take all images for independent.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from medsam_exp.metrics.paired import PairedComparison, compare_pairs

BETWEEN, WITHIN = 0.05, 0.03
"""Standard deviations of patients, and of images within one."""
SLICES = 30
"""Of each patient, or of the average one."""
LEVEL = 0.05


@dataclass(frozen=True)
class Outcome:
    """Shares of all repetitions.

    Attributes:
        covered: the 95 % interval holds the truth.
        wilcoxon: the Wilcoxon test says p < 0.05 of two equal methods.
        t_test: the t-test does.
        width: mean width of the interval.
    """

    covered: float
    wilcoxon: float
    t_test: float
    width: float


def scores(
    patients: int, repetitions: int, *, equal: bool, skewed: bool = False, seed: int = 0
) -> Iterator[tuple[NDArray[np.float64], list[str]]]:
    """Scores of the images, and their patients, of so many made-up studies; `skewed` has few very bad patients."""
    generator = np.random.default_rng(seed)
    for _ in range(repetitions):
        sizes = np.full(patients, SLICES) if equal else generator.integers(5, 2 * SLICES - 4, patients)
        own = 1 - generator.exponential(1, patients) if skewed else generator.normal(size=patients)
        deviations = (BETWEEN * own).repeat(sizes) + generator.normal(0, WITHIN, sizes.sum())
        yield deviations, [f"patient {number}" for number in np.arange(patients).repeat(sizes)]


def outcome(found: list[PairedComparison]) -> Outcome:
    """How often intervals and tests of equal methods were right."""
    bounds = np.array([each.ci95 for each in found], np.float64)
    return Outcome(
        covered=float(np.mean((bounds[:, 0] <= 0) & (bounds[:, 1] >= 0))),
        wilcoxon=float(np.mean([(each.wilcoxon_p or 0) < LEVEL for each in found])),
        t_test=float(np.mean([(each.t_p or 0) < LEVEL for each in found])),
        width=float(np.mean(bounds[:, 1] - bounds[:, 0])),
    )


def simulate(
    patients: int, repetitions: int, *, equal: bool, skewed: bool = False
) -> tuple[Outcome, Outcome]:
    """Outcome when all images count as independent (of every fifth repetition), and by patient."""
    studies = list(scores(patients, repetitions, equal=equal, skewed=skewed))
    some = studies[: math.ceil(repetitions / 5)]  # enough to see how far off they are
    alone = [compare_pairs([0.0] * len(own), own.tolist()) for own, _ in some]
    together = [compare_pairs([0.0] * len(own), own.tolist(), clusters=names) for own, names in studies]
    return outcome(alone), outcome(together)


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    table = Table(
        "patients", "images each", "patients' deviations", "taken as", title=f"{repetitions} repetitions, %"
    )
    for column in ("interval covers", "Wilcoxon p < 0.05", "t-test p < 0.05", "width x 1000"):
        table.add_column(column, justify="right")
    for patients in (6, 18, 40):
        for equal, skewed in ((True, False), (False, False), (True, True)):
            about = (str(patients), str(SLICES) if equal else "5 to 55", "skewed" if skewed else "normal")
            found = simulate(patients, repetitions, equal=equal, skewed=skewed)
            for taken_as, own in zip(("images", "patients"), found, strict=True):
                shares = (f"{100 * share:.1f}" for share in (own.covered, own.wilcoxon, own.t_test))
                table.add_row(*about, taken_as, *shares, f"{1000 * own.width:.0f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
