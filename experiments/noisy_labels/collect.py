"""Train on wrong labels in several ways and compare: `python -m experiments.noisy_labels.collect data.root=FOLDER`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.figures import EXPECTED_FILE, Figures, cell, finish, run
from experiments.noisy_labels.degrade import write_degraded
from experiments.noisy_labels.small_copy import SIDE, write_small_copy
from experiments.reproduce.renew import one_figure_a_line
from medsam_exp.cli.compose import composed
from medsam_exp.config.build import build
from medsam_exp.metrics.overlap import dice
from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.metrics.summary import summarise
from medsam_exp.nnunet.weak_label.compose import IGNORE
from medsam_exp.runtime.artifacts import StageArtifacts, stored_digests
from medsam_exp.types import Dataset, UserError

HERE = Path(__file__).parent
FOLDER = Path("outputs/experiments/noisy_labels")
COMMON = [
    "data=folder",
    "text=free",
    "text.text=a tumor",
    "nnunet=smoke",
    "nnunet.batch_size=4",
    f"nnunet.patch_size=[{SIDE},{SIDE}]",
    "nnunet.base_features=8",
    "nnunet.epochs=16",
    "nnunet.late_snapshots=0",
    "nnunet.learning_rate=0.02",
    "nnunet.folds=[all]",
    "ensemble.mirroring=false",
    "report_cases=0",
    "report_images=0",
]
STAGES = "stages=[weak_label,train_nnunet,nnunet_single,evaluate]"
PLAIN, REFERENCE = "wrong labels", "true masks"
RELABEL = ["weak_label=all", "label_stages=[nnunet_single]"]
ALL_SEEDS, ONE_SEED = (0, 1), (0,)


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        options: of `run.py`.
        seeds: a network is trained with each.
        again: whether the labels are masks of the network that `PLAIN` of the same seed has trained.
    """

    options: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ALL_SEEDS
    again: bool = False


ROWS = {
    REFERENCE: Row(("weak_label=ground_truth",)),
    PLAIN: Row(),
    "dice_gce": Row(("nnunet_loss=dice_gce",)),
    "dice_sce": Row(("nnunet_loss=dice_sce",), ONE_SEED),
    "dice_sce, milder": Row(
        ("nnunet_loss=dice_sce", "nnunet_loss.alpha=1", "nnunet_loss.beta=0.1"), ONE_SEED
    ),
    "border": Row(("label_ignore=border",), ONE_SEED),
    "disagreement": Row(("label_ignore=disagreement",), ONE_SEED),
    "nothing unknown": Row(("label_ignore=border", "label_ignore.width=1e-6"), ONE_SEED),
    "weight by agreement": Row(("label_weight=agreement",), ONE_SEED),
    "second round": Row((), ONE_SEED, again=True),
    "second round, unsure": Row(("label_ignore=unsure",), ONE_SEED, again=True),
}
"""By name, in the order in which a seed's are trained; "nothing unknown" shows what the ignore label alone does."""
SPLITS = ("val", "test")
SCORED = "scored"
TUNED, DIFFERENCE = "test, threshold of val", "difference"
THRESHOLDS = tuple(number / 20 for number in range(1, 20))
HALF = THRESHOLDS.index(0.5)
ARTIFACTS, MASKS = Path("outputs/artifacts"), "nnunet_single"
RENEW = "--renew"
MARK = "<!-- written by experiments.noisy_labels.collect from here on -->\n"


def options_of(row: str, first: Path, second: Path, earlier: str | None) -> list[str]:
    """What `run.py` is told of a row's labels and loss.

    Args:
        row: of `ROWS`.
        first: folder of wrong masks.
        second: folder of other wrong masks, which `disagreement` and the weight by agreement alone look at.
        earlier: results folder of the network that makes the labels of a second round.
    """
    own = [*ROWS[row].options]
    if ROWS[row].again:
        return [*RELABEL, f"ensemble.results={earlier}", *own]
    if row == REFERENCE:
        return own
    return ["weak_label=folder", f"weak_label.root={first}", f"weak_label.second={second}", *own]


def label_overlap(raw: Path, truth: Dataset) -> list[float]:
    """DSC of each label of a raw dataset with the true mask, over the pixels whose label is known."""
    unknown = json.loads((raw / "dataset.json").read_text())["labels"].get(IGNORE)
    found = []
    for case, name in sorted(json.loads((raw / "cases.json").read_text()).items()):
        label = np.asarray(Image.open(raw / "labelsTr" / f"{case}.png"))
        known = label != unknown
        found.append(dice((label == 1) & known, truth.read_ground_truth(name) & known))
    return found


def dsc_by_threshold(folder: Path, truth: Dataset) -> dict[str, list[float]]:
    """DSC of a run's probabilities, cut at each of `THRESHOLDS`, by id."""
    names, maps = [sample.id for sample in truth.samples], {}
    for key in json.loads((folder / "keys.json").read_text()):
        digests = {name: of[-1] for name, of in stored_digests(ARTIFACTS / MASKS / key).items()}
        if set(names) <= set(digests):
            stored = StageArtifacts(ARTIFACTS, MASKS, key, digests)
            maps = {name: stored.maps(name)["probability"] for name in names}
    if not maps:
        raise UserError(
            f"{folder / 'keys.json'} names no record of {ARTIFACTS / MASKS} that has all {len(names)} images: "
            f"delete {folder} and start again"
        )
    return {
        name: [dice(maps[name] > threshold, truth.read_ground_truth(name)) for threshold in THRESHOLDS]
        for name in names
    }


@dataclass(frozen=True)
class Trained:
    """What a row came to.

    Attributes:
        scores: DSC by id at each of `THRESHOLDS`, for each seed.
        labels: DSC of the labels of its first seed with the true masks.
    """

    scores: list[dict[str, list[float]]]
    labels: list[float]


def train(data: str, truths: Mapping[str, Dataset], first: Path, second: Path) -> dict[str, Trained]:
    """Train all rows, seed by seed."""
    trained: dict[str, Trained] = {}
    earlier: dict[int, str] = {}
    for seed, row in _trainings():
        folder = FOLDER / f"seed_{seed}" / row.replace(" ", "_").replace(",", "")
        own = options_of(row, first, second, earlier.get(seed))
        run([*COMMON, data, f"data.split={SCORED}", f"seed={seed}", STAGES, *own], folder)
        labels = json.loads((folder / "summary.json").read_text())["weak_labels"]["weak_label"]
        if row == PLAIN:
            earlier[seed] = labels["results"]
        if row not in trained:
            trained[row] = Trained([], label_overlap(Path(labels["raw_dataset"]), truths["train"]))
        trained[row].scores.append(dsc_by_threshold(folder, truths[SCORED]))
    return trained


def _trainings() -> Iterator[tuple[int, str]]:
    for seed in ALL_SEEDS:
        yield from ((seed, name) for name, row in ROWS.items() if seed in row.seeds)


def figures_of(trained: Mapping[str, Trained], splits: Mapping[str, Sequence[str]]) -> dict[str, Figures]:
    """DSC of each row at a threshold of 0.5, and on test at the one that is best on val, each seed's own.

    The difference is that of the latter to training on the wrong labels as they are, paired by image, same seeds.

    Args:
        trained: by row.
        splits: ids of the images of each.
    """
    val, test = (splits[split] for split in SPLITS)

    def chosen(seed: Mapping[str, Sequence[float]]) -> int:
        return int(np.mean([seed[name] for name in val], axis=0).argmax())

    def figure(each: Sequence[Sequence[float]]) -> dict[str, Any]:
        means = [float(np.mean(seed)) for seed in each]
        return summarise(np.mean(each, axis=0).tolist()) | {"seeds": means}

    measured: dict[str, Figures] = {}
    tuned = {
        row: [[seed[name][chosen(seed)] for name in test] for seed in found.scores]
        for row, found in trained.items()
    }
    for row, found in trained.items():
        plain = tuned[PLAIN][: len(found.scores)]
        compared = compare_pairs(np.mean(plain, axis=0).tolist(), np.mean(tuned[row], axis=0).tolist())
        measured[row] = {
            "labels": summarise(found.labels),
            **{
                split: figure([[seed[name][HALF] for name in names] for seed in found.scores])
                for split, names in splits.items()
            },
            TUNED: figure(tuned[row]),
            DIFFERENCE: {
                "mean": compared.difference,
                "ci95": compared.ci95,
                "wilcoxon_p": compared.wilcoxon_p,
            },
        }
    return measured


def table(measured: Mapping[str, Figures]) -> list[str]:
    """The figures as Markdown; differences with p of Wilcoxon's signed-rank test, which is not corrected."""
    columns = list(next(iter(measured.values())))
    lines = [f"| trained on | seeds | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for row, figures in measured.items():
        cells = ["" if (row, name) == (PLAIN, DIFFERENCE) else _cell(figures[name]) for name in columns]
        lines.append(f"| {row} | {len(figures[SPLITS[0]]['seeds'])} | {' | '.join(cells)} |")
    return lines


def _cell(figure: Mapping[str, Any]) -> str:
    seeds, p = figure.get("seeds", ()), figure.get("wilcoxon_p")
    each = f" ({', '.join(f'{mean:.2f}' for mean in seeds)})" if len(seeds) > 1 else ""
    said = f"{cell(figure)}{each}" + (f", p {p:.2g}" if p is not None else "")
    return said.replace("-", "−")


def _renew(measured: Mapping[str, Figures]) -> None:
    """Commit what was measured, and write the page's table."""
    rows = {
        row: {name: round(figures[name]["mean"], 3) for name in (*SPLITS, TUNED)}
        for row, figures in measured.items()
    }
    expected = json.loads((HERE / EXPECTED_FILE).read_text())
    (HERE / EXPECTED_FILE).write_text(one_figure_a_line(expected | {"rows": rows}) + "\n")
    page = HERE / "README.md"
    head, _, _ = page.read_text().partition(MARK)
    page.write_text(f"{head}{MARK}\n" + "\n".join(table(measured)) + "\n")


def main() -> None:
    """Print the table; exit non-zero when committed figures are missed."""
    typed = [word for word in sys.argv[1:] if word != RENEW]
    copy = FOLDER / "data"
    own = {
        split: build(composed([*COMMON, *typed, f"data.split={split}"]).data) for split in ("train", *SPLITS)
    }
    write_small_copy(own["train"], copy, "train")
    splits = {split: write_small_copy(own[split], copy, SCORED) for split in SPLITS}
    small = f"data.root={copy.resolve()}"
    truths = {
        split: build(composed([*COMMON, small, f"data.split={split}"]).data) for split in ("train", SCORED)
    }
    first, second = (FOLDER / "labels" / opinion for opinion in ("first", "second"))
    for folder in (first, second):
        write_degraded(truths["train"], folder, folder.name)
    measured = figures_of(train(small, truths, first.resolve(), second.resolve()), splits)
    print("\n".join(table(measured)))
    (FOLDER / "figures.json").write_text(json.dumps(measured, indent=1))
    if RENEW in sys.argv:
        _renew(measured)
    else:
        finish(measured, HERE)


if __name__ == "__main__":
    main()
