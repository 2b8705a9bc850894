"""Compare two runs image by image (`medsam-exp compare`).

Images are paired by id; where an image is asked for several classes, the mean of its scores counts. Where patients are
known, interval and tests go by patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medsam_exp.data.patients import patient_notes
from medsam_exp.metrics.clusters import picked
from medsam_exp.metrics.measures import MISSING, interval, number, probability
from medsam_exp.metrics.paired import PairedComparison, compare_pairs
from medsam_exp.report.finished_run import (
    FinishedRun,
    comparable,
    image_ids,
    mark_of,
    patients_of,
    read_run,
    samples_by_image,
    scores_of,
)
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError


def compare_runs(folder_a: Path, folder_b: Path, measure: str, stage: str | None = None) -> dict[str, Any]:
    """Compare one measure of two runs on the images that both have.

    Args:
        folder_a: of run A.
        folder_b: of run B.
        measure: a column of per_image.csv.
        stage: a value of its column `stage`; None for the last stage in which both runs have the measure.

    Returns:
        `measure`, `stage`, the fields of `PairedComparison`, `only_in_a`, `only_in_b` and `without_score` (ids),
        `choices` (group -> [of A, of B] where they differ), `supervision` of the masks ([of A, of B], "" of runs of
        old), `notes` on patients, `runs` (both folders).

    Raises:
        UserError: a file is missing or broken, measure or stage are unknown, the datasets differ, or no image is in
            both.
    """
    a, b = read_run(folder_a), read_run(folder_b)
    comparable(a, b, measure)
    stage, of_a, of_b = scores_of(a, b, measure, stage)
    shared = sorted(of_a.keys() & of_b.keys())
    if not shared:
        raise UserError(f"{folder_a} and {folder_b} have no image id in common, so nothing can be paired")
    scored = {name: (of_a[name], of_b[name]) for name in shared}
    pairs = {name: (x, y) for name, (x, y) in scored.items() if x is not None and y is not None}
    if not pairs:
        raise UserError(f"no image has a finite {stage}/{measure} in both runs")
    images = samples_by_image(pairs, image_ids(a))
    means = [[fmean(pairs[name][run] for name in own) for own in images.values()] for run in (0, 1)]
    known = patients_of((a, b))
    compared = compare_pairs(means[0], means[1], clusters=picked(known, images))
    return {
        "measure": measure,
        "stage": stage,
        **asdict(compared),
        "only_in_a": sorted(of_a.keys() - of_b.keys()),
        "only_in_b": sorted(of_b.keys() - of_a.keys()),
        "without_score": [name for name, values in scored.items() if None in values],
        "choices": _different_choices(a, b),
        "supervision": [mark_of(run, stage) for run in (a, b)],
        "notes": patient_notes({name: (known or {}).get(name) for name in images}),
        "runs": [str(folder_a), str(folder_b)],
    }


def _different_choices(a: FinishedRun, b: FinishedRun) -> dict[str, list[str | None]]:
    ours, theirs = a.summary["choices"], b.summary["choices"]
    groups = sorted({*ours, *theirs})
    return {
        group: [ours.get(group), theirs.get(group)]
        for group in groups
        if ours.get(group) != theirs.get(group)
    }


def print_comparison(result: Mapping[str, Any], console: Console) -> None:
    """Print what `compare_runs` found: a table, then what a reader must know to believe it."""
    fields = PairedComparison.__dataclass_fields__
    compared = PairedComparison(**{name: result[name] for name in fields})
    table = Table("", f"{result['stage']}/{result['measure']}", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[1].justify = "right"
    for label, value in _lines(compared):
        table.add_row(label, value)
    console.print(table)
    sentences = [f"{name} = {folder}" for name, folder in zip("AB", result["runs"], strict=True)]
    sentences += [f"{group}: {a or '-'} in A, {b or '-'} in B" for group, (a, b) in result["choices"].items()]
    if not result["choices"]:
        sentences.append("A and B made the same choices; what differs are single settings or weights")
    if any(result["supervision"]):
        of_a, of_b = (mark or "unknown" for mark in result["supervision"])
        sentences.append(f"supervision: {of_a} in A, {of_b} in B")
    sentences += [*compared.remarks, *result["notes"]]
    for key, said in (
        ("only_in_a", "only in A"),
        ("only_in_b", "only in B"),
        ("without_score", "without a finite score in A or B"),
    ):
        sentences += _left_out(result[key], said)
    for sentence in sentences:
        console.print(escape(sentence), highlight=False, soft_wrap=True)


def _lines(compared: PairedComparison) -> list[tuple[str, str]]:
    grouped = compared.patients is not None and compared.patients < compared.n
    patients = [] if compared.patients is None else [("patients", str(compared.patients))]
    same = compared.n - compared.better - compared.worse
    lines = [
        ("images", str(compared.n)),
        *patients,
        ("mean of A", number(compared.mean_a, 4)),
        ("mean of B", number(compared.mean_b, 4)),
        ("mean difference, B - A", number(compared.difference, 4)),
        ("95 % interval of it", interval(compared.ci95, 4)),
        ("larger in B / smaller / same", f"{compared.better} / {compared.worse} / {same}"),
        (f"Wilcoxon signed-rank{' by patient' if grouped else ''}, p", probability(compared.wilcoxon_p)),
        (f"paired t-test{' of patients' if grouped else ''}, p", probability(compared.t_p)),
        ("Cohen's d_z", number(compared.cohen_dz, 3)),
        ("rank-biserial correlation", number(compared.rank_biserial, 3)),
    ]
    return [(label, value.replace(MISSING, "-")) for label, value in lines]  # an old terminal lacks the dash


def _left_out(sample_ids: Sequence[str], said: str) -> list[str]:
    """One sentence that counts images and names the first few."""
    if not sample_ids:
        return []
    return [f"left out, {said}: {len(sample_ids)} ({first_few(sample_ids, 5)})"]
