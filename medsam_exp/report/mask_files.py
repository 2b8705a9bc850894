"""Files in a run's folder for its user: rows of scores, masks, label maps, probabilities, the list to review."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from medsam_exp.data.tables import no_formula
from medsam_exp.engine.engine import Engine
from medsam_exp.nnunet.weak_label.compose import by_image, foreground_classes, label_map, label_value
from medsam_exp.report.results import final_stage
from medsam_exp.report.topics.uncertainty import doubt_scores, review_rows
from medsam_exp.report.topics.weak import labels_of_network
from medsam_exp.runtime.json_text import json_text
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import Dataset


def write_mask_files(run_dir: Path, engine: Engine, dataset: Dataset, review_by: str) -> None:
    """Write all files of a run that have pixels, and the order in which a human should look at them.

    `masks/ID.png` of the last stage {0, 255}; for several classes an image also `labels/IMAGE.png`, with
    `labels/labels.json` saying which value is which class; of an ensemble `uncertainty/ID.npz` with its probability and
    maps, and `review.csv`. Everything has the image's own size.
    """
    final = final_stage(engine)
    if final is None:
        return
    ids = engine.sample_ids
    _write(run_dir / "masks", ".png", engine.artifacts[final].mask_pngs(ids), ids)
    # Trained networks decide between classes, so that their masks cannot overlap.
    if any(sample.image_id for sample in dataset.samples) and STAGES[final].supervision != "none":
        _write_label_maps(run_dir / "labels", engine, dataset, final)
    if "nnunet_ensemble" in engine.artifacts:
        ensemble = engine.artifacts["nnunet_ensemble"]
        _write(run_dir / "uncertainty", ".npz", map(ensemble.maps_npz, ids), ids)
        rows = review_rows(doubt_scores(engine), review_by)
        write_rows(run_dir / "review.csv", rows, first=("rank", "id"))


def _write(folder: Path, suffix: str, contents: Iterable[bytes], sample_ids: Sequence[str]) -> None:
    """One file a sample; one that holds these very bytes is left as it is."""
    folder.mkdir(exist_ok=True)
    for sample_id, content in zip(sample_ids, contents, strict=True):
        path = f"{folder}/{sample_id}{suffix}"
        with suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:  # noqa: PTH123  # of hundreds of thousands
            if file.read(len(content) + 1) == content:
                continue
        with open(path, "wb", buffering=0) as file:  # noqa: PTH123  # likewise
            file.write(content)


def _write_label_maps(folder: Path, engine: Engine, dataset: Dataset, final: str) -> None:
    folder.mkdir(exist_ok=True)
    labels = labels_of_network(engine) or foreground_classes(dataset.label_names)
    (folder / "labels.json").write_text(json_text(labels, indent=1) + "\n")
    for image_id, samples in by_image(dataset.samples).items():
        masks = {label_value(labels, sample): engine.artifacts[final].mask(sample.id) for sample in samples}
        Image.fromarray(label_map(masks)).save(folder / f"{image_id}.png")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], first: Sequence[str]) -> None:
    """Write rows as a CSV file; what a row does not have stays empty.

    Args:
        path: of the file.
        rows: value by column.
        first: columns that come first, in this order; the others follow in the order of their first row.
    """
    columns = list(dict.fromkeys([*first, *(key for row in rows for key in row)]))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(no_formula, columns))
        writer.writerows([no_formula(row.get(column)) for column in columns] for row in rows)
