"""Run the method without and with its veto and print both side by side: `python -m experiments.grounding.collect`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from experiments.figures import Figures, cell, finish, run
from medsam_exp.metrics.presence import presence_figures
from medsam_exp.metrics.summary import summarise

RUNS = {"before": ["veto=none"], "after": ["veto=presence"]}
KINDS = ("contradictory", "absent", "nonsense")
HERE = Path(__file__).parent
EXPERIMENT = "+experiment=phantom_grounding"


def mask_figures(rows: list[dict[str, str]]) -> Figures:
    """What the final masks and those of control texts look like."""
    sam = [row for row in rows if row["stage"] == "sam"]
    controls = {row["id"]: row for row in rows if row["stage"] == "grounding"}
    with_lesion = [row for row in sam if row["missed"]]
    coarse = [row["false_mask"] for row in rows if row["stage"] == "coarse"]
    figures = {
        "false coarse masks on scans without a lesion": share(coarse),
        "false SAM masks on scans without a lesion": share(row["false_mask"] for row in sam),
        "missed on scans with the lesion": share(row["missed"] for row in with_lesion),
        "SAM DSC on scans with the lesion": summarise([float(row["dsc"]) for row in with_lesion]),
    }
    for kind in KINDS:
        empty = (controls[row["id"]][f"empty_{kind}"] for row in with_lesion)
        figures[f"empty coarse masks on scans with a lesion, text: {kind}"] = share(empty)
    return figures


def share(answers: Iterable[str]) -> dict[str, Any]:
    """How many of the answers "0.0" and "1.0" are yes; empty ones do not count.

    The interval is the exact one of Clopper and Pearson, as a bootstrap of 0 of n says nothing.
    """
    yes = [float(answer) > 0 for answer in answers if answer]
    interval = binomtest(sum(yes), len(yes)).proportion_ci()
    return {"mean": sum(yes) / len(yes), "ci95": [interval.low, interval.high], "n": len(yes)}


def text_figures(rows: list[dict[str, str]]) -> Figures:
    """How far control texts move the map, and how well presence is told; no veto changes these."""
    controls = [row for row in rows if row["stage"] == "grounding"]
    presence = [row for row in rows if row["stage"] == "presence"]
    figures: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        for what, name in (("correlation", "correlation"), ("peak_shift_fraction", "peak shift / diagonal")):
            values = [float(row[f"{what}_{kind}"]) for row in controls if row[f"{what}_{kind}"]]
            figures[f"{name}, text: {kind}"] = summarise(values)
    score = np.array([float(row["probability"]) for row in presence])
    present = np.array([float(row["target_present"]) > 0 for row in presence])
    of_own = presence_figures(score, present)
    figures["presence: ROC AUC, lesion or none"] = of_own["auc"]
    figures["presence: calibration error"] = of_own["ece"]
    contradicted = np.array([float(row["presence_contradictory"]) for row in controls])
    both = np.concatenate([score[present], contradicted[present]])
    truth = np.repeat([True, False], present.sum())
    figures["presence: ROC AUC, right or contradictory text"] = presence_figures(both, truth)["auc"]
    return figures


def counted(figure: Mapping[str, Any]) -> str:
    """Mean, confidence interval and number of scans in one cell."""
    return f"{cell(figure)}, n = {figure['n']}"


def main() -> None:
    """Print the tables; exit non-zero when committed figures are missed."""
    folder = Path("outputs/experiments/grounding")
    rows = {name: run([EXPERIMENT, *overrides], folder / name) for name, overrides in RUNS.items()}
    measured: dict[str, Figures] = {name: mask_figures(found) for name, found in rows.items()}
    measured["texts"] = text_figures(rows["after"])
    title = "200 held-out drawn scans, half of them without a lesion; mean [95 % CI]"
    table = Table("", "before (no veto)", "after (veto by presence)", title=title)
    for name in measured["before"]:
        table.add_row(name, *(counted(measured[column][name]) for column in RUNS))
    texts = Table("all scans, no veto involved", "", title="Does the text matter?")
    for name, figure in measured["texts"].items():
        texts.add_row(name, counted(figure))
    console = Console(width=130)
    console.print(table)
    console.print(texts)
    finish(measured, HERE)


if __name__ == "__main__":
    main()
