"""How measures are called and written, the same on the console, in figures and in the report.

Measures of other packages are rows too: `register_measure` adds one, and an installed package names the module that
calls it as an entry point of the group `medsam_exp.metrics`, so that every command knows it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.extensions import load_extensions

ENTRY_POINTS = "medsam_exp.metrics"
"""Group of entry points that name modules which register measures."""


@dataclass(frozen=True)
class Measure:
    """One measure as readers know it.

    Attributes:
        name: in summary.json and per_image.csv.
        label: in tables.
        decimals: written.
        higher_is_better: a score in [0, 1] of which 1 is the best (a text match lies in [-2, 2]); else a distance or
            loss >= 0.
        symmetric: prediction and truth may change places.
        of: what it scores.
    """

    name: str
    label: str
    decimals: int = 3
    higher_is_better: bool = True
    symmetric: bool = False
    of: Literal["masks", "maps"] = "masks"


MEASURES = (
    Measure("dsc", "DSC", symmetric=True),
    Measure("iou", "IoU", symmetric=True),
    Measure("nsd", "NSD", symmetric=True),
    Measure("hd95_px", "HD95 (px)", decimals=1, higher_is_better=False, symmetric=True),
    Measure("hd95_mm", "HD95 (mm)", decimals=1, higher_is_better=False, symmetric=True),
)
"""Of masks, in the first table."""
FURTHER_MEASURES = [
    Measure("precision", "Precision"),
    Measure("recall", "Recall"),
    Measure("specificity", "Specificity"),
    Measure("dsc_released", "DSC (released)", symmetric=True),
    Measure("nsd_released", "NSD (released)", symmetric=True),
]
"""Of masks, in a second table, so that the first does not grow too wide; those of other packages are added here."""
MAP_MEASURES = [
    Measure("peak_distance_px", "Peak to target (px)", decimals=1, higher_is_better=False, of="maps"),
    Measure("peak_within_8px", "Peak hits target (8 px)", of="maps"),
    Measure("roc_auc", "ROC AUC", of="maps"),
    Measure("average_precision", "Average precision", of="maps"),
    Measure("confidence_drop", "Confidence drop", higher_is_better=False, of="maps"),
    Measure("confidence_increase", "Confidence increase", of="maps"),
]
"""Of saliency maps."""
MEASURES_WITHOUT_TRUTH = (
    Measure("text_match", "Text match", decimals=4),
    Measure("agreement", "Agreement with the coarse mask"),
    Measure("expected_iou", "Expected IoU"),
    Measure("stability", "Stability"),
)
"""Of masks, by what needs no true mask: a search may choose by them where there are none."""
ALL_MEASURES = {
    measure.name: measure
    for measure in (*MEASURES, *FURTHER_MEASURES, *MAP_MEASURES, *MEASURES_WITHOUT_TRUTH)
}
"""By name."""
MISSING = "–"
DISCLAIMER = "Research use only; not a medical device."


def register_measure(measure: Measure) -> None:
    """Add a measure of another package; call it when the module with the measure is imported.

    Args:
        measure: its row.

    Raises:
        UserError: there is another one of this name.
    """
    known = ALL_MEASURES.get(measure.name)
    if known == measure:
        return
    if known:
        raise UserError(f"measure {measure.name!r} exists already; give the measure another name")
    ALL_MEASURES[measure.name] = measure
    (FURTHER_MEASURES if measure.of == "masks" else MAP_MEASURES).append(measure)


@dataclass(frozen=True)
class Cell:
    """A summarised score, written out.

    Attributes:
        value: "0.812 ± 0.101", mean and standard deviation over images; of one image its score alone.
        interval: "[0.790, 0.834]", the mean's 95 % confidence interval; a dash where it has none.
        n: number of images, and of patients where they are known: "540 (18 patients)".
    """

    value: str
    interval: str
    n: str


def number(value: Any, decimals: int = 3) -> str:
    """A number with fixed decimals; a dash when it is missing or not finite."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return MISSING
    return f"{value:.{decimals}f}"


def signed(value: float, decimals: int = 3, sign: str = "") -> str:
    """A number with a true minus sign; `sign` "+" writes a plus sign too."""
    return f"{value:{sign}.{decimals}f}".replace("-", "−")


def probability(p: float | None) -> str:
    """A p-value; a dash when it is undefined."""
    return number(p, 4) if p is None or p >= 0.001 else f"{p:.1e}"


def interval(
    bounds: Sequence[float] | None, decimals: int = 3, written: Callable[[float, int], str] = number
) -> str:
    """A 95 % confidence interval; a dash where there is none, or one without width of an old run, which is none."""
    if bounds is None or bounds[0] == bounds[1]:
        return MISSING
    low, high = (written(bound, decimals) for bound in bounds)
    return f"[{low}, {high}]"


def count(figures: Mapping[str, Any]) -> str:
    """Number of images, and of patients where they are known."""
    patients = figures.get("patients")
    if patients is None:
        return str(figures["n"])
    return f"{figures['n']} ({patients} patient{'' if patients == 1 else 's'})"


def by_patient(figures: Mapping[str, Any]) -> bool:
    """Whether intervals and tests of these figures go by patient, as some have several images."""
    return figures.get("patients") is not None and figures["patients"] < figures["n"]


def score_cell(score: Mapping[str, Any] | None, decimals: int = 3) -> Cell:
    """Write out one entry of the summary's metrics; dashes when there is none."""
    if not score:
        return Cell(MISSING, "", "")
    spread = f" ± {number(score['std'], decimals)}" if score["n"] > 1 else ""
    value = f"{number(score['mean'], decimals)}{spread}"
    return Cell(value, interval(score["ci95"], decimals), count(score))


def scaled(score: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """An entry of the summary's metrics in another unit, such as per cent."""
    bounds = score["ci95"] and [factor * bound for bound in score["ci95"]]
    return {**score, "mean": factor * score["mean"], "std": factor * score["std"], "ci95": bounds}


def measure_label(name: str) -> str:
    """A measure's name for readers."""
    return ALL_MEASURES[name].label if name in ALL_MEASURES else name


def used_measures(names: Iterable[str], among: Sequence[Measure] = MEASURES) -> list[Measure]:
    """Those of `among` that occur among names like "dsc" or "coarse/dsc", in table order."""
    present = {name.rpartition("/")[2] for name in names}
    return [measure for measure in among if measure.name in present]


load_extensions(ENTRY_POINTS)
