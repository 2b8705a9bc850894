"""Your own scans: DICOM, NIfTI, MHA, NRRD, PNG, JPEG, TIFF; slices of volumes, with masks where there are some.

Masks are told by their names (scan_mask.nii.gz, masks/scan.png, seg.nii.gz beside one series), by what DICOM-SEG and
RTSTRUCT objects and annotations in COCO's format refer to, or all lie in one folder (--masks). Slices are turned as
radiologists look at them. A DICOM scan is named by running numbers (p001_ct01_0042: patient, scan, slice from 0),
never by a name or number of the patient; other files keep their own names unless --rename is given. geometry.json,
in OUT, keeps where every slice lies: medsam-exp write-back puts masks back there.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from medsam_exp.curation.prepare.layout import Prepared, write_layout
from medsam_exp.curation.prepare.output import Request, SourceFacts
from medsam_exp.curation.prepare.own_slices import Cutting, Plan, ScanNaming, plan_scans
from medsam_exp.curation.prepare.source import open_source
from medsam_exp.data.sample_index import compile_pattern
from medsam_exp.data.volumes.find import find_scans
from medsam_exp.data.volumes.grid import PLANES
from medsam_exp.data.volumes.scan import write_record
from medsam_exp.data.volumes.windowing import CT_WINDOWS, parse_window_level
from medsam_exp.types import UserError

_VERSION = 2


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    add = parser.add_argument
    add(
        "--axis",
        choices=PLANES,
        default="acquired",
        help="plane of the slices, or array axis (default: acquired)",
    )
    add(
        "--window",
        nargs="+",
        metavar="W",
        help=f"{', '.join(CT_WINDOWS)}, or CENTER WIDTH (default: as the file asks)",
    )
    add(
        "--percentiles",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="gray between two percentiles, for MR",
    )
    add("--every", type=int, default=1, metavar="N", help="every n-th slice only")
    add("--only-foreground", action="store_true", help="slices whose mask has a pixel only")
    add("--foreground", type=_labels, metavar="1,2", help="labels that are the target (default: all, apart)")
    add("--masks", type=Path, metavar="FOLDER", help="folder whose files are the masks")
    add("--patient", metavar="REGEX", help="finds the patient in a file's path; the first group counts")
    add("--rename", action="store_true", help="number all scans, not only those in DICOM")
    add(
        "--split",
        default="test=1",
        metavar="S",
        help="train=0.8,val=0.1,test=0.1 or numbers (default: test=1)",
    )
    add("--seed", type=int, default=0, help="chooses another division")
    add("--skip-faulty", action="store_true", help="leave out what cannot be used, and say so")


def prepare(given: argparse.Namespace) -> Iterable[str]:
    """Prepare `given.source` to `given.out`.

    Raises:
        UserError: an option or the data cannot work; one error names all faults.
    """
    root = given.source.expanduser()
    if root.suffix.lower() == ".zip":
        raise UserError(f"{root} is a zip: unpack it and give the folder")
    _refuse_inside(given.out, root)
    cutting = _cutting(given)
    naming = ScanNaming(
        root if root.is_dir() else root.parent, compile_pattern(given.patient, "--patient"), given.rename
    )
    plan = plan_scans(find_scans(root, given.masks), cutting, naming, skip_faulty=given.skip_faulty)
    request = Request("own", _VERSION, "own scans", _facts(root, given.masks), "your own", _options(given))
    prepared = write_layout(
        given.out,
        plan.cases(given.split, given.seed, redacted=given.skip_faulty),
        request,
        plan.notes,
        skip_faulty=given.skip_faulty,
    )
    write_record(given.out, plan.records())
    return _report(prepared, plan)


def _labels(text: str) -> tuple[int, ...]:
    try:
        labels = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        labels = ()
    if not labels or labels[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of labels: give numbers from 1, such as 1,2")
    return labels


def _cutting(given: argparse.Namespace) -> Cutting:
    if given.every < 1:
        raise UserError(f"--every is {given.every}: give at least 1")
    window_level = parse_window_level(given.window, given.percentiles)
    return Cutting(
        given.axis, window_level, given.every, given.foreground, only_foreground=given.only_foreground
    )


def _refuse_inside(out: Path, root: Path) -> None:
    if root.is_dir() and out.expanduser().resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"{out} lies inside {root}, so that it would be read as scans the next time: choose another"
        )


def _facts(root: Path, masks: Path | None) -> SourceFacts:
    """What was read; a single file counts as its folder with nothing else in it."""
    with open_source(root if root.is_dir() else root.parent, _no_zip) as source:
        facts = source.facts() if root.is_dir() else source.facts([root.name])
    if masks is None or masks.resolve().is_relative_to(root.resolve()):
        return facts
    with open_source(masks, _no_zip) as source:
        others = source.facts()
    return SourceFacts(facts.files + others.files, facts.bytes + others.bytes, facts.digest + others.digest)


def _no_zip(name: str) -> bool:
    del name  # zips below the folder are no scans
    return False


def _options(given: argparse.Namespace) -> dict[str, object]:
    """What decides the result, without paths."""
    names = ("axis", "window", "percentiles", "every", "only_foreground", "foreground", "patient", "rename")
    chosen = {name: getattr(given, name) for name in (*names, "split", "seed", "skip_faulty")}
    return chosen | {"masks": given.masks is not None}


def _report(prepared: Prepared, plan: Plan) -> Iterator[str]:
    yield from plan.faults
    yield from prepared.notes
    counts = {split: sum(found.values()) for split, found in prepared.counts.items() if found}
    yield f"{prepared.out}: " + ", ".join(f"{n} {split} images" for split, n in counts.items())
    split = "test" if "test" in counts else next(iter(counts))
    words = [f"data.root={prepared.out}", *([f"data.split={split}"] if split != "test" else [])]
    if plan.has_spacing:
        words.append("data.spacing_mm=index.csv")
    if plan.classes:
        shown = ", ".join(f"{name}: [{label}]" for label, name in sorted(plan.classes.items()))
        words.append(f"'data.classes={{{shown}}}'")
    yield f'next: python run.py data=folder {" ".join(words)} text=free text.text="WHAT TO FIND"'
