"""Your own scans: DICOM, NIfTI, MHA, NRRD, PNG, JPEG, TIFF; slices of volumes, with masks where there are some.

Masks are told by their names (scan_mask.nii.gz, masks/scan.png, seg.nii.gz beside one series), by what DICOM-SEG and
RTSTRUCT objects and annotations in COCO's format refer to, or all lie in one folder (--masks). Slices are turned as
radiologists look at them. A DICOM scan is named by running numbers (p001_ct01_0042: patient, scan, slice from 0),
never by a name or number of the patient; other files keep their own names unless --rename is given. geometry.json,
in OUT, keeps where every slice lies: medsam-exp write-back puts masks back there.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import write_layout
from medsam_exp.curation.prepare.output import Prepared, Request, SourceFacts
from medsam_exp.curation.prepare.own_slices import Choices, Plan, plan_scans
from medsam_exp.curation.prepare.source import open_source
from medsam_exp.data.sample_index import compile_pattern
from medsam_exp.data.volumes.find import find_scans
from medsam_exp.data.volumes.grid import Plane
from medsam_exp.data.volumes.scan import write_record
from medsam_exp.data.volumes.windowing import CT_WINDOWS, parse_window_level
from medsam_exp.types import UserError

_VERSION = 2


def prepare(
    given: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of scans, or one scan.")],
    out: Annotated[Path, command.in_data("own")],
    axis: Annotated[Plane, typer.Option(help="Plane of the slices, or array axis.")] = "acquired",
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="W...", help=f"{', '.join(CT_WINDOWS)}, or CENTER WIDTH; by default as the file asks."
        ),
    ] = None,
    percentiles: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Gray between two percentiles, for MR."),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", help="Every n-th slice only.")] = 1,
    only_foreground: Annotated[
        bool, typer.Option("--only-foreground", help="Slices whose mask has a pixel only.")
    ] = False,
    foreground: Annotated[
        str | None, typer.Option(metavar="1,2", help="Labels that are the target; by default all, apart.")
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Finds the patient in a file's path; the first group counts."),
    ] = None,
    rename: Annotated[
        bool, typer.Option("--rename", help="Number all scans, not only those in DICOM.")
    ] = False,
    split: Annotated[str, command.amounts_of("Patients together")] = "test=1",
    seed: command.Seed = 0,
    skip_faulty: command.SkipFaulty = False,
    masks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder whose files are the masks.")
    ] = None,
) -> Iterable[str]:
    """Prepare own scans.

    Raises:
        UserError: an option or the data cannot work; one error names all faults.
    """
    root = source.expanduser()
    if root.suffix.lower() == ".zip":
        raise UserError(f"{root} is a zip: unpack it and give the folder")
    if root.is_dir() and out.expanduser().resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"{out} lies inside {root}, so that it would be read as scans the next time: choose another"
        )
    if every < 1:
        raise UserError(f"--every is {every}: give at least 1")
    labels = None if foreground is None else _labels(foreground)
    choices = Choices(
        root if root.is_dir() else root.parent,
        compile_pattern(patient, "--patient"),
        rename,
        axis,
        parse_window_level(window, percentiles),
        every,
        labels,
        only_foreground,
    )
    plan = plan_scans(find_scans(root, masks), choices, skip_faulty=skip_faulty)
    options = {option.name: given.params[option.name] for option in given.command.params[2:]}
    options |= {"window": window, "foreground": labels, "masks": masks is not None}
    request = Request("own", _VERSION, "own scans", _facts(root, masks), "your own", options)
    cases = plan.cases(split, seed, redacted=skip_faulty)
    prepared = write_layout(out, cases, request, plan.notes, skip_faulty=skip_faulty)
    write_record(out, plan.records())
    return _report(prepared, plan)


def _labels(text: str) -> tuple[int, ...]:
    try:
        labels = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        labels = ()
    if not labels or labels[0] < 1:
        raise UserError(f"--foreground {text!r} is no list of labels: give numbers from 1, such as 1,2")
    return labels


def _facts(root: Path, masks: Path | None) -> SourceFacts:
    """What was read; a single file counts as its folder with nothing else in it, and zips are no scans."""
    with open_source(root if root.is_dir() else root.parent, lambda _: False) as source:
        facts = source.facts() if root.is_dir() else source.facts([root.name])
    if masks is None or masks.resolve().is_relative_to(root.resolve()):
        return facts
    with open_source(masks, lambda _: False) as source:
        others = source.facts()
    return SourceFacts(facts.files + others.files, facts.bytes + others.bytes, facts.digest + others.digest)


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
