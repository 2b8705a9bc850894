"""Masks put back into their scans, as NIfTI or DICOM-SEG."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

from medsam_exp.curation.write_back.dicom_seg import TISSUE, Concept, SegmentNames, write_segmentations
from medsam_exp.curation.write_back.nifti import write_nifti
from medsam_exp.curation.write_back.predictions import (
    Assembled,
    Predictions,
    What,
    assemble,
    read_predictions,
)
from medsam_exp.data.volumes.scan import GEOMETRY, ScanRecord, read_record
from medsam_exp.types import UserError

_RANGES_SHOWN = 5


def write_back(
    run: Path,
    out: Path,
    source: Path,
    to: Literal["nifti", "dicom-seg"],
    what: What,
    original: Path | None,
    names: SegmentNames,
) -> list[str]:
    """Assemble and write every scan that something was predicted for.

    Args:
        run: a run's folder, or a folder of mask images named as the prepared images.
        out: folder to write, new or empty.
        source: folder of the prepared images, with geometry.json.
        to: format of the files.
        what: masks, labels, probability or saliency.
        original: for dicom-seg: folder of the source images.
        names: for dicom-seg: how segments are described.

    Returns:
        What was done, one sentence each.

    Raises:
        UserError: nothing fits, or a file cannot be read or written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(
            f"{out} exists and is not an empty folder: give a new one, so that nothing is mixed up"
        )
    records = [record for record in read_record(source) if record.kind != "picture"]
    if not records:
        raise UserError(
            f"{source / GEOMETRY} names pictures only: their masks have the pictures' own frame already"
        )
    slices = {sample_id for record in records for sample_id in record.slices}
    predicted = read_predictions(run, what, slices)
    scans, notes = _assembled(records, predicted, slices, run, source)
    if to == "nifti":
        notes += write_nifti(out, scans, predicted.labels)
    else:
        if original is None:
            raise UserError("--to dicom-seg refers to the source images: give their folder with --original")
        write_segmentations(out, scans, predicted.labels, original, names)
    return [*notes, f"wrote {len(scans)} scans to {out}"]


def coded(text: str) -> Concept:
    """Read a coded concept of the form CODE:SCHEME:MEANING.

    Raises:
        UserError: it is not of this form.
    """
    value, _, rest = text.partition(":")
    scheme, _, meaning = rest.partition(":")
    if not (value and scheme and meaning):
        raise UserError(f"{text!r} is no code: write CODE:SCHEME:MEANING, as {':'.join(TISSUE)}")
    return value, scheme, meaning


def _assembled(
    records: Sequence[ScanRecord], predicted: Predictions, slices: set[str], run: Path, source: Path
) -> tuple[list[Assembled], list[str]]:
    found = {record.id: assemble(record, predicted.planes) for record in records}
    scans = [scan for scan in found.values() if scan is not None]
    if not scans:
        example, expected = min(predicted.image_ids), min(slices)
        raise UserError(
            f"no prediction in {run} belongs to a slice of {source} ({example} against {expected}): give "
            "the folder that the run's images came from"
        )
    notes = [_missing(scan) for scan in scans if scan.missing]
    if unpredicted := [name for name, scan in found.items() if scan is None]:
        notes.append(
            f"{len(unpredicted)} scans have no prediction and are not written: {', '.join(unpredicted)}"
        )
    if strangers := sorted(predicted.image_ids - slices):
        notes.append(f"{len(strangers)} predictions belong to no slice (first: {strangers[0]})")
    return scans, notes


def _missing(scan: Assembled) -> str:
    count = scan.record.shape[scan.record.view.axis]
    runs = [
        [n for _, n in run] for _, run in groupby(enumerate(scan.missing), key=lambda pair: pair[1] - pair[0])
    ]
    shown = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:_RANGES_SHOWN]]
    listed = ", ".join([*shown, *(["..."] if len(runs) > _RANGES_SHOWN else [])])
    return f"{scan.record.id}: {len(scan.missing)} of {count} slices were not predicted and are background ({listed})"
