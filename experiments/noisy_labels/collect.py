"""Train on wrong labels in several ways and compare: `python -m experiments.noisy_labels.collect data.root=FOLDER`."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.drawn_scans import Figures, cell, finish
from experiments.noisy_labels.degrade import write_degraded
from experiments.noisy_labels.small_copy import write_small_copy
from medsam_exp.cli.compose import composed
from medsam_exp.config.build import build
from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.metrics.summary import summarise

HERE = Path(__file__).parent
FOLDER = Path("outputs/experiments/noisy_labels")
COMMON = [
    "data=folder",
    "text=free",
    "text.text=a tumor",
    "nnunet=smoke",
    "nnunet.batch_size=4",
    "nnunet.patch_size=[96,96]",
    "nnunet.epochs=16",
    "nnunet.folds=[all]",
    "ensemble.mirroring=false",
    "report_cases=1",
]
STAGES = "stages=[weak_label,train_nnunet,nnunet_single,evaluate]"
PLAIN, REFERENCE = "wrong labels", "true masks"
ROWS: dict[str, list[str]] = {
    REFERENCE: ["weak_label=ground_truth"],
    PLAIN: [],
    "disagreement": ["label_ignore=disagreement"],
    "border": ["label_ignore=border"],
    "nothing unknown": ["label_ignore=border", "label_ignore.width=1e-6"],  # what the ignore label alone does
    "dice_gce": ["nnunet_loss=dice_gce"],
    "second round": [],
}
"""By name, in the order in which they are trained."""
SECOND_ROUND = "second round"
SEEDS = (0,)
SPLITS = ("val", "test")


def options_of(row: str, first: Path, second: Path, earlier: str | None) -> list[str]:
    """What `run.py` is told of a row's labels and loss.

    Args:
        row: of `ROWS`.
        first: folder of wrong masks.
        second: folder of other wrong masks, which `disagreement` alone looks at.
        earlier: results folder of the network that makes the labels of a second round.
    """
    if row == SECOND_ROUND:
        network = [f"ensemble.results={earlier}", "ensemble.checkpoints=checkpoint_epoch_*.pth"]
        return ["weak_label=all", "label_stages=[nnunet_ensemble]", *network, *ROWS[row]]
    if row == REFERENCE:
        return ROWS[row]
    return ["weak_label=folder", f"weak_label.root={first}", f"weak_label.second={second}", *ROWS[row]]


def run(options: Sequence[str], folder: Path) -> None:
    """One run, or what is stored of it."""
    command = [sys.executable, "run.py", *options, f"hydra.run.dir={folder}"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)


def dsc(folder: Path) -> dict[str, float]:
    """DSC of a run's masks by id."""
    with (folder / "per_image.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "weak_single"]
    return {row["id"]: float(row["dsc"]) for row in rows}


def scores_of(data: str, first: Path, second: Path) -> dict[str, dict[str, list[dict[str, float]]]]:
    """DSC by id, for each row, split and seed; a row's network is trained once a seed."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        row: {split: [] for split in SPLITS} for row in ROWS
    }
    for seed in SEEDS:
        earlier = None
        for number, row in enumerate(ROWS):
            for split in SPLITS:
                folder = FOLDER / f"seed_{seed}" / f"{number:02d}_{split}"
                own = options_of(row, first, second, earlier)
                run([*COMMON, data, f"data.split={split}", f"seed={seed}", STAGES, *own], folder)
                found[row][split].append(dsc(folder))
            if row == PLAIN:
                labels = json.loads((folder / "summary.json").read_text())["weak_labels"]
                earlier = labels["weak_label"]["results"]
    return found


def over_seeds(scores: Sequence[Mapping[str, float]]) -> list[float]:
    """Each image's mean over the seeds, in order of id."""
    return [float(np.mean([own[name] for own in scores])) for name in sorted(scores[0])]


def figures_of(scores: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> dict[str, Figures]:
    """DSC of each row, and its paired difference to training on the wrong labels as they are."""
    measured: dict[str, Figures] = {}
    for row, by_split in scores.items():
        measured[row] = {}
        for split, each in by_split.items():
            own, plain = over_seeds(each), over_seeds(scores[PLAIN][split])
            compared = compare_pairs(plain, own)
            seeds = [float(np.mean(list(single.values()))) for single in each]
            measured[row] |= {  # type: ignore[operator]
                split: summarise(own) | {"seeds": seeds},
                f"{split} - plain": {
                    "mean": compared.difference,
                    "ci95": compared.ci95,
                    "wilcoxon_p": compared.wilcoxon_p,
                },
            }
    return measured


def main() -> None:
    """Print the table; exit non-zero when committed figures are missed."""
    typed = sys.argv[1:]
    copy = FOLDER / "data"
    for split in ("train", *SPLITS):
        write_small_copy(build(composed([*COMMON, *typed, f"data.split={split}"]).data), copy)
    small = f"data.root={copy.resolve()}"
    dataset = build(composed([*COMMON, small, "data.split=train"]).data)
    first, second = (FOLDER / "labels" / opinion for opinion in ("first", "second"))
    overlap = {
        folder.name: summarise(write_degraded(dataset, folder, folder.name)) for folder in (first, second)
    }
    scores = scores_of(small, first.resolve(), second.resolve())
    measured = figures_of(scores)
    title = f"DSC on images, [95 % CI] over images, mean of {len(SEEDS)} trainings; differences are paired"
    table = Table("", *next(iter(measured.values())), title=title)
    for row, figures in measured.items():
        table.add_row(row, *(cell(figure) for figure in figures.values()))
    console = Console(width=150)
    console.print(
        *(f"labels ({name}) against true masks: {cell(figure)}\n" for name, figure in overlap.items())
    )
    console.print(table)
    (FOLDER / "figures.json").write_text(json.dumps({"labels": overlap, "rows": measured}, indent=1))
    finish(measured, HERE)


if __name__ == "__main__":
    main()
