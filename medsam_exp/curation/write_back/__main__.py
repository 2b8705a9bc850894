"""Put masks back into their scans: `medsam-exp write-back RUN OUT --source PREPARED --to nifti`.

RUN is a run's folder, or a folder of mask images named as the prepared images. PREPARED is what
`medsam-exp prepare own` wrote; its geometry.json says where every slice lies. Slices that nothing was
predicted for are background, and are named.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from medsam_exp.curation.write_back.dicom_seg import TISSUE, CodedConcept, SegmentNames, write_segmentations
from medsam_exp.curation.write_back.nifti import write_nifti
from medsam_exp.curation.write_back.predictions import Assembled, Predictions, assemble, read_predictions
from medsam_exp.data.volumes.scan import GEOMETRY, ScanRecord, read_record
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.types import UserError

_RANGES_SHOWN = 5


@stops_when_asked(hint="")
def main(argv: Sequence[str] | None = None) -> int:
    """Write back what the command line names; return its exit code, 1 after bad input."""
    given = _parser().parse_args(argv)
    try:
        for line in write_back(given):
            print(line)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}: free space, or give another folder, and start again", file=sys.stderr)
        return 1
    return 0


def write_back(given: argparse.Namespace) -> list[str]:
    """Assemble and write every scan that something was predicted for, and say what was done.

    Raises:
        UserError: nothing fits, or a file cannot be read or written.
    """
    _refuse_full(given.out)
    records = [record for record in read_record(given.source) if record.kind != "picture"]
    if not records:
        raise UserError(
            f"{given.source / GEOMETRY} names pictures only: their masks have the pictures' own frame already"
        )
    slices = {sample_id for record in records for sample_id in record.slices}
    predicted = read_predictions(given.run, given.what, slices)
    scans, notes = _assembled(records, predicted, slices, given)
    if given.to == "nifti":
        notes += write_nifti(given.out, scans, predicted.labels)
    else:
        if given.original is None:
            raise UserError("--to dicom-seg refers to the source images: give their folder with --original")
        names = SegmentNames(given.name, given.category, given.type)
        write_segmentations(given.out, scans, predicted.labels, given.original, names)
    return [*notes, f"wrote {len(scans)} scans to {given.out}"]


def _assembled(
    records: Sequence[ScanRecord], predicted: Predictions, slices: set[str], given: argparse.Namespace
) -> tuple[list[Assembled], list[str]]:
    found = {record.id: assemble(record, predicted.planes) for record in records}
    scans = [scan for scan in found.values() if scan is not None]
    if not scans:
        example, expected = min(predicted.image_ids), min(slices)
        raise UserError(
            f"no prediction in {given.run} belongs to a slice of {given.source} ({example} against {expected}): give "
            "the folder that the run's images came from"
        )
    notes = [_missing(scan) for scan in scans if scan.missing]
    unpredicted = [name for name, scan in found.items() if scan is None]
    if unpredicted:
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


def _refuse_full(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(
            f"{out} exists and is not an empty folder: give a new one, so that nothing is mixed up"
        )


def _meaning(text: str) -> CodedConcept:
    parts = text.split(":", 2)
    if len(parts) != 3 or not all(parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no code: write CODE:SCHEME:MEANING, as {_coded(TISSUE)}"
        )
    return CodedConcept(*parts)


def _coded(meaning: CodedConcept) -> str:
    return f"{meaning.value}:{meaning.scheme}:{meaning.meaning}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medsam-exp write-back",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run's folder, or a folder of mask images")
    add("out", type=Path, metavar="OUT", help="folder to write, new or empty")
    add("--source", type=Path, required=True, metavar="PREPARED", help="the folder that the images came from")
    add("--to", choices=["nifti", "dicom-seg"], required=True, help="format of the files")
    add(
        "--what",
        choices=["masks", "labels", "probability", "saliency"],
        default="masks",
        help="masks, images of class labels, or maps",
    )
    add("--original", type=Path, metavar="SRC", help="for dicom-seg: folder of the source images")
    add(
        "--name",
        default=SegmentNames.only,
        help="for dicom-seg: label of the segment where there is one class",
    )
    for option in ("category", "type"):
        add(f"--{option}", type=_meaning, default=TISSUE, metavar="CODE:SCHEME:MEANING", help=f"its {option}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
