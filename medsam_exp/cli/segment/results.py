"""Masks, label maps, overlays and the table of results, in the frame of what was given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.cli.segment.classes import AskedClass
from medsam_exp.cli.segment.inputs import Inputs
from medsam_exp.curation.write_back.nifti import write_nifti
from medsam_exp.curation.write_back.predictions import Assembled, assemble
from medsam_exp.data.tables import csv_text
from medsam_exp.data.volumes.scan import ScanRecord
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.png_bytes import png_bytes
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.records import PresenceRecord, SamRecord, prompts_of
from medsam_exp.types import Mask

TABLE = "results.csv"
_LABELS = "labels.json"
_COLUMNS = (
    *("image", "source", "class", "text", "presence", "area_px", "share", "area_mm2", "expected_iou", "mask"),
)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        images: their number, slices of volumes among them.
        volumes: their number.
        found: images with a mask that is not empty, by class.
        others: files besides masks, in words.
    """

    images: int
    volumes: int
    found: Mapping[str, int]
    others: tuple[str, ...]


def write_results(
    out: Path,
    inputs: Inputs,
    asked: Sequence[AskedClass],
    plans: Sequence[Plan],
    *,
    overlays: bool,
    maps: bool,
    expects: bool,
) -> Written:
    """Write everything to OUT.

    Pictures have masks/NAME.png of 0 and 255; with several classes masks/CLASS/NAME.png, and labels/NAME.png with the
    number of each pixel's class, of that with the larger saliency where two overlap. Volumes have the same as
    NAME.nii.gz in their own geometry.

    Args:
        out: folder, made where missing.
        inputs: what was given.
        asked: the classes.
        plans: of each class, computed.
        overlays: also write overlays/NAME.png.
        maps: also write saliency/NAME.png or .nii.gz.
        expects: whether what SAM expects of its masks tells anything.
    """
    names, several = plans[0].sample_ids, len(asked) > 1
    pictures = [name for name in names if name in inputs.pictures]
    for one, plan in zip(asked, plans, strict=True):
        for name in pictures:
            png = plan.artifacts["sam_mask"].mask_png(name)
            write_atomically(out / "masks" / one.name / f"{name}.png", png, durable=False)
        if "text_mask" in plan.artifacts:
            for name in pictures:
                png = plan.artifacts["text_mask"].mask_png(name)
                write_atomically(out / "text_masks" / one.name / f"{name}.png", png, durable=False)
    if several:
        _write_labels(out, pictures, asked, plans)
    for record in inputs.volumes:
        _write_volume(out, record, asked, plans, set(names), maps=maps)
    if maps:
        _write_maps(out, pictures, asked, plans)
    if overlays:
        _write_overlays(out, asked, plans)
    rows = [row for name in names for row in _rows(name, inputs, asked, plans, expects=expects)]
    write_atomically(out / TABLE, csv_text(_COLUMNS, rows).encode())
    area = _COLUMNS.index("area_px")
    found = {one.name: sum(row[2] == one.name and row[area] > 0 for row in rows) for one in asked}
    others = {TABLE: True, "label maps": several, "overlays": overlays, "saliency maps": maps}
    return Written(
        len(names), len(inputs.volumes), found, tuple(name for name, is_there in others.items() if is_there)
    )


def _write_labels(
    out: Path, names: Sequence[str], asked: Sequence[AskedClass], plans: Sequence[Plan]
) -> None:
    for name in names:
        write_atomically(out / "labels" / f"{name}.png", png_bytes(_labels(name, plans)), durable=False)
    listed = {"background": 0, **{one.name: number for number, one in enumerate(asked, start=1)}}
    write_atomically(out / _LABELS, (json_text(listed, indent=1) + "\n").encode())


def _write_maps(out: Path, names: Sequence[str], asked: Sequence[AskedClass], plans: Sequence[Plan]) -> None:
    for one, plan in zip(asked, plans, strict=True):
        for name in names:
            grey = np.rint(read_map(plan.artifacts["saliency"], name) * 255).astype(np.uint8)
            write_atomically(out / "saliency" / one.name / f"{name}.png", png_bytes(grey), durable=False)


def _write_overlays(out: Path, asked: Sequence[AskedClass], plans: Sequence[Plan]) -> None:
    from medsam_exp.cli.interactive.overlay import overlay_png  # matplotlib takes half a second

    read_image, made = plans[0].read_image, plans[0].artifacts
    assert read_image is not None
    for name in plans[0].sample_ids:
        masks = {
            one.name: plan.artifacts["sam_mask"].mask(name) for one, plan in zip(asked, plans, strict=True)
        }
        steps: tuple[Any, ...] = ()
        if len(plans) == 1:
            prompts = prompts_of(made["sam_mask"].record(name, SamRecord)["prompts"])
            steps = (made["coarse_mask"].mask(name), prompts)
        png = overlay_png(read_image(name), masks, *steps)
        write_atomically(out / "overlays" / f"{name}.png", png, durable=False)


def _labels(name: str, plans: Sequence[Plan]) -> NDArray[np.uint8]:
    """(H, W) number of each pixel's class, 0 for none; see `write_results`."""
    masks = np.stack([plan.artifacts["sam_mask"].mask(name) for plan in plans])
    if masks.sum(axis=0).max() <= 1:
        numbers = np.arange(1, len(plans) + 1, dtype=np.uint8)
        return np.asarray((masks * numbers[:, None, None]).sum(axis=0), np.uint8)
    maps = np.stack([read_map(plan.artifacts["saliency"], name) for plan in plans])
    best = np.where(masks, maps, -1.0).argmax(axis=0) + 1
    return np.asarray(np.where(masks.any(axis=0), best, 0), np.uint8)


def _write_volume(
    out: Path,
    record: ScanRecord,
    asked: Sequence[AskedClass],
    plans: Sequence[Plan],
    known: set[str],
    *,
    maps: bool,
) -> None:
    def planes(read: Any) -> dict[str, Any]:
        return {name: (lambda name=name: read(name)) for name in record.slices if name in known}

    for one, plan in zip(asked, plans, strict=True):
        masks = assemble(record, {"": planes(plan.artifacts["sam_mask"].mask)})
        if masks is not None:
            write_nifti(out / "masks" / one.name, [masks], {"": 1})
        if maps:
            stored = plan.artifacts["saliency"]
            found = assemble(record, {"": planes(lambda name, stored=stored: read_map(stored, name))})
            if found is not None:
                write_nifti(out / "saliency" / one.name, [found], {"": 1})
    if len(asked) > 1:
        joint: dict[str, NDArray[np.uint8]] = {
            name: _labels(name, plans) for name in record.slices if name in known
        }
        classes = {
            one.name: planes(lambda name, number=number: joint[name] == number)
            for number, one in enumerate(asked, start=1)
        }
        volume: Assembled | None = assemble(record, classes)
        if volume is not None:
            write_nifti(
                out / "labels", [volume], {one.name: place for place, one in enumerate(asked, start=1)}
            )


def _rows(
    name: str, inputs: Inputs, asked: Sequence[AskedClass], plans: Sequence[Plan], *, expects: bool
) -> Iterator[tuple[Any, ...]]:
    """A row of the table for each class of one image."""
    spacing = _spacing(name, inputs, plans[0])
    volume = next((record.id for record in inputs.volumes if name in record.slices), None)
    for one, plan in zip(asked, plans, strict=True):
        mask: Mask = plan.artifacts["sam_mask"].mask(name)
        sam = plan.artifacts["sam_mask"].record(name, SamRecord)
        presence = plan.artifacts["presence"].record(name, PresenceRecord)["score"]
        area = int(mask.sum())
        expected = sam["iou_predictions"]
        file = Path("masks", one.name, f"{name}.png" if volume is None else f"{volume}.nii.gz")
        yield (
            name,
            inputs.sources[name],
            one.name,
            " | ".join(plan.texts[name]),
            f"{presence:.4f}",
            area,
            f"{area / mask.size:.5f}",
            "" if spacing is None else f"{area * spacing[0] * spacing[1]:.2f}",
            f"{max(expected):.3f}" if expects and area and expected else "",
            file.as_posix(),
        )


def _spacing(name: str, inputs: Inputs, plan: Plan) -> tuple[float, float] | None:
    for record in inputs.volumes:
        if name in record.slices:
            return record.view.spacing_mm(record.affine) if record.spacing_known else None
    return plan.dataset.pixel_spacing_mm(name) if plan.dataset else None
