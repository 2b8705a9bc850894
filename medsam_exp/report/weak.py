"""Labels that a run made and trained on, and its masks compared image by image, as readers know them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from medsam_exp.metrics.measures import FURTHER_MEASURES, MEASURES, by_patient, interval, number, probability
from medsam_exp.stages.pipeline import STAGES, stage_title

_SOURCES = {
    "zero_shot": "zero-shot masks of this pipeline",
    "folder": "masks of a folder",
    "ground_truth": "true masks",
}
_LABELS = {measure.name: measure.label for measure in (*MEASURES, *FURTHER_MEASURES)}


@dataclass(frozen=True)
class LabelSection:
    """One set of labels.

    Attributes:
        heading: for readers.
        sentences: where the labels come from, how many were kept, what was trained.
        dropped: reason by image id.
        folders: path by what it is.
        how_to_go_on: commands of an unchanged nnU-Net.
    """

    heading: str
    sentences: list[str]
    dropped: Mapping[str, str]
    folders: dict[str, str]
    how_to_go_on: str


@dataclass(frozen=True)
class ComparisonLine:
    """One measure of two stages' masks.

    Attributes:
        label: "nnU-Net, ensemble − SAM mask".
        measure: "DSC".
        difference: "+0.123".
        interval: "[+0.100, +0.150]", its 95 % confidence interval.
        cells: the other columns, in order.
        n: number of images, and of patients where they are known, in words.
        remarks: what is undefined, and why.
    """

    label: str
    measure: str
    difference: str
    interval: str
    cells: list[str]
    n: str
    remarks: list[str]


def label_sections(labels: Mapping[str, Mapping[str, Any]]) -> list[LabelSection]:
    """Labels of a run.

    Args:
        labels: `weak_labels` of summary.json; empty where a run made none.
    """
    return [
        LabelSection(
            STAGES[stage].title if stage in STAGES else stage,
            [_kept(facts), *_trained(facts)],
            facts["dropped"],
            {
                "raw dataset": facts["raw_dataset"],
                **({"trained network": facts["results"]} if "results" in facts else {}),
            },
            facts["how_to_go_on"],
        )
        for stage, facts in labels.items()
    ]


def trained(labels: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether anything was trained on labels of a run."""
    return any("results" in facts for facts in labels.values())


def _kept(facts: Mapping[str, Any]) -> str:
    total = facts["kept"] + len(facts["dropped"])
    classes = f"classes: {', '.join(facts['classes'])}" if len(facts["classes"]) > 1 else "one class"
    source = _SOURCES.get(facts["source"], facts["source"])
    return (
        f"Policy “{facts['policy']}” ({source}) on {facts['data']}, split “{facts['split']}”: "
        f"{facts['kept']} of {total} images kept, {len(facts['dropped'])} dropped; {classes}."
    )


def _trained(facts: Mapping[str, Any]) -> list[str]:
    if "results" not in facts:
        return []
    figures = ", ".join(
        f"{name.replace('_', ' ').replace('/', ', ', 1)} {number(value)}"
        for name, value in facts["training"].items()
        if name.rpartition("/")[2] in ("loss", "pseudo_dice")
    )
    snapshots = facts["snapshots"]
    kept = (
        f"{len(snapshots)} checkpoints of each fold kept, after epochs {', '.join(map(str, snapshots))}"
        if snapshots
        else "the last checkpoint kept"
    )
    against = (
        "Pseudo-Dice and losses are measured against these labels, over patches; they are no scores of masks."
    )
    return [
        f"nnU-Net trained on them, folds {', '.join(facts['folds'])}: {kept}. At the end: {figures}.",
        against,
    ]


def comparison_columns(comparisons: Sequence[Mapping[str, Any]]) -> list[str | Markup]:
    """Headings of the table of comparisons; tests that go by patient are named so."""
    named = ", by patient" if any(map(by_patient, comparisons)) else ""
    tests = (f"Wilcoxon p{named}", f"t-test p{named}")
    return [
        "Mean difference",
        *tests,
        Markup("Cohen’s d<sub>z</sub>"),
        "Rank-biserial",
        "Better / worse / same",
    ]


def comparison_lines(comparisons: Sequence[Mapping[str, Any]]) -> list[ComparisonLine]:
    """Paired comparisons of a run.

    Args:
        comparisons: `comparison` of summary.json; empty without ground truth or without two stages.
    """
    return [
        ComparisonLine(
            label=f"{stage_title(found['b'])} − {_as_second(found['a'])}",
            measure=_LABELS.get(found["measure"], found["measure"]),
            difference=_signed(found["difference"]),
            interval=interval(found["ci95"], 3, _signed),
            cells=[
                probability(found["wilcoxon_p"]),
                probability(found["t_p"]),
                number(found["cohen_dz"], 2).replace("-", "−"),
                number(found["rank_biserial"], 2).replace("-", "−"),
                f"{found['better']} / {found['worse']} / {found['n'] - found['better'] - found['worse']}",
            ],
            n=_images(found),
            remarks=list(found["remarks"]),
        )
        for found in comparisons
    ]


def comparison_hints(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader must know to believe the table, each said once."""
    if not comparisons:
        return []
    remarks = [remark for found in comparisons for remark in found["remarks"]]
    grouped = any(map(by_patient, comparisons))
    tests = (
        " By patient: the Wilcoxon signed-rank test changes the signs of whole patients, the t-test is of the "
        "patients’ mean differences; the other figures are over images."
    )
    return [
        "Mean of the differences over images, first minus second, [95 % confidence interval by resampling "
        f"{'patients' if grouped else 'images'}]; "
        f"p two-sided and not corrected for the {len(comparisons)} lines of this table.{tests if grouped else ''}",
        *(f"{remark[0].upper()}{remark[1:]}." for remark in dict.fromkeys(remarks)),
    ]


def _as_second(stage: str) -> str:
    """A stage's label within a sentence."""
    label = stage_title(stage)
    return label if label.startswith(("SAM", "nnU-Net")) else f"{label[0].lower()}{label[1:]}"


def _images(found: Mapping[str, Any]) -> str:
    patients = found.get("patients")
    return f"{found['n']} images" + ("" if patients is None else f", {patients} patients")


def _signed(value: float, decimals: int = 3) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")
