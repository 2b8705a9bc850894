"""Writes images and masks as the pipeline reads them: OUT/{train,val,test}_{images,masks}/NAME.png and OUT/index.csv.

Every file appears whole or not at all. The same request again writes only what is missing or was changed since, and
ends with the same bytes; `checksums.sha256` says what was written (`sha256sum -c` can check it).
"""

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.data.prepare.claim import Claim, Request, claimed, refuse_strangers
from medsam_exp.data.prepare.splitting import SPLITS
from medsam_exp.digests import write_atomically
from medsam_exp.progress import stage_progress
from medsam_exp.types import Mask, UserError

INDEX, CHECKSUMS = "index.csv", "checksums.sha256"
COLUMNS = ("name", "split", "class", "group", "source")
SPACING_COLUMNS = ("spacing_row_mm", "spacing_column_mm")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHOWN = 10


@dataclass(frozen=True)
class Case:
    """One image to be written.

    Attributes:
        name: file name without its ending, unique whatever the case of its letters; see `plain_name`.
        split: train, val or test.
        read: gives (H, W) or (H, W, 3) uint8 pixels and the (H, W) mask, or None where no case has one; the mask
            is bool, or uint8 with a class's number in each pixel; called from several threads at once.
        class_name: what the image shows; "" for unknown.
        group: what may not be on two sides of a split, such as the patient; "" for unknown.
        source: which file of the download it comes from.
        spacing_mm: (row, column) size of a pixel, where the source says it.
    """

    name: str
    split: str
    read: Callable[[], tuple[NDArray[np.uint8], Mask | NDArray[np.uint8] | None]]
    class_name: str = ""
    group: str = ""
    source: str = ""
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class Prepared:
    """What a preparation gave.

    Attributes:
        out: the folder.
        counts: images by split and class.
        written: files written this time; 0 where everything was there.
        notes: what was merged, dropped or found odd, one sentence each.
    """

    out: Path
    counts: Mapping[str, Mapping[str, int]]
    written: int
    notes: tuple[str, ...]


def plain_name(text: str) -> str:
    """A file name that works everywhere: letters, digits, dots, dashes, and one underscore for anything else."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_.-") or "image"


def write_layout(
    out: Path,
    cases: Sequence[Case],
    request: Request,
    notes: Iterable[str] = (),
    *,
    skip_faulty: bool = False,
) -> Prepared:
    """Write all cases, their index and what was done.

    Args:
        out: a new or empty folder, or one that the same request began or finished.
        cases: in any order, which changes nothing.
        request: what decides the result.
        notes: for `prepared.json`.
        skip_faulty: leave out cases that cannot be read and say so, instead of stopping.

    Raises:
        UserError: the folder holds something else, two cases have the same name, some have masks and others not, or
            cases cannot be read; one error names them all.
    """
    _check(out, cases)
    cases = sorted(cases, key=lambda case: case.name)
    with claimed(out, request) as claim:
        known = _known_checksums(out / CHECKSUMS)
        folders = [f"{split}_{kind}" for split in SPLITS for kind in ("images", "masks")]
        refuse_strangers(out, folders, {name for case in cases for name in _files(case)})
        outcomes = _write_all(claim, cases, known)
        faults = {case.name: each.fault for case, each in zip(cases, outcomes, strict=True) if each.fault}
        if faults and (not skip_faulty or len(faults) == len(cases)):
            raise _complaint(faults, len(cases))
        kept = [case for case in cases if case.name not in faults]
        said = (*notes, *(f"left out: {fault}" for fault in faults.values()))
        return _finish(claim, kept, [each for each in outcomes if not each.fault], said)


@dataclass(frozen=True)
class _Outcome:
    """What became of one case: checksums by file, files written now, and why it failed."""

    checksums: Mapping[str, str]
    written: int = 0
    fault: str = ""


def _write_all(claim: Claim, cases: Sequence[Case], known: Mapping[str, str]) -> list[_Outcome]:
    out = claim.out
    with (
        stage_progress(claim.request.preparer, len(cases)) as done,
        ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool,
    ):
        outcomes = []
        for outcome in pool.map(lambda case: _write(out, case, known), cases):
            outcomes.append(outcome)
            done(1)
        return outcomes


def _write(out: Path, case: Case, known: Mapping[str, str]) -> _Outcome:
    """Write one case, unless its files are there as they were written."""
    there = _checksums_there(out, case, known)
    if there is not None:
        return _Outcome(there)
    try:
        image, mask = case.read()
        if mask is not None and mask.shape != image.shape[:2]:
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (image.shape, mask.shape)]
            raise UserError(
                f"{case.source or case.name} has an image of {sizes[0]} and a mask of {sizes[1]} pixels"
            )
    except UserError as error:
        return _Outcome({}, fault=str(error))
    image_file, mask_file = _files(case)
    contents = {image_file: _png(_narrowed(image))}
    if mask is not None:
        labels = mask.astype(np.uint8) * np.uint8(255) if mask.dtype == bool else mask
        contents[mask_file] = _png(np.asarray(labels, np.uint8))
    for name, content in reversed(contents.items()):  # the mask first: an image that is there has its mask
        write_atomically(out / name, content)
    return _Outcome(
        {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}, len(contents)
    )


def _checksums_there(out: Path, case: Case, known: Mapping[str, str]) -> dict[str, str] | None:
    """Checksums of a case's files where none has to be written; before the first finish their presence tells it."""
    image_file, mask_file = _files(case)
    if not (out / image_file).is_file() or (known and image_file not in known):
        return None
    names = [name for name in (image_file, mask_file) if (name in known if known else (out / name).is_file())]
    found = {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in names
        if (out / name).is_file()
    }
    return found if not known or found == {name: known[name] for name in names} else None


def _finish(
    claim: Claim, cases: Sequence[Case], outcomes: Sequence[_Outcome], notes: Sequence[str]
) -> Prepared:
    checksums = sorted((name, digest) for each in outcomes for name, digest in each.checksums.items())
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for case in cases:
        counts[case.split][case.class_name] += 1
    by_class = {split: dict(sorted(found.items())) for split, found in counts.items()}
    write_atomically(claim.out / INDEX, _index(cases).encode())
    lines = "".join(f"{digest}  {name}\n" for name, digest in checksums)
    write_atomically(claim.out / CHECKSUMS, lines.encode())
    claim.finish({"counts": by_class, "notes": list(notes)})
    return Prepared(claim.out, by_class, sum(each.written for each in outcomes), tuple(notes))


def _index(cases: Sequence[Case]) -> str:
    with_spacing = any(case.spacing_mm for case in cases)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(SPACING_COLUMNS if with_spacing else ())])
    for case in cases:
        spacing = [f"{size:.6g}" for size in case.spacing_mm] if case.spacing_mm else ["", ""]
        row = [case.name, case.split, case.class_name, case.group, case.source]
        writer.writerow([*row, *(spacing if with_spacing else ())])
    return text.getvalue()


def _known_checksums(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row[1]: row[0] for row in rows if len(row) == 2}


def _files(case: Case) -> tuple[str, str]:
    return f"{case.split}_images/{case.name}.png", f"{case.split}_masks/{case.name}.png"


def _narrowed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One channel where three are equal."""
    if image.ndim == 3 and (image == image[..., :1]).all():
        return np.ascontiguousarray(image[..., 0])
    return image


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _check(out: Path, cases: Sequence[Case]) -> None:
    if not cases:
        raise UserError(f"there is no image to write to {out}: check the download and the options")
    names: dict[str, Case] = {}
    for case in cases:
        if case.split not in SPLITS or not _NAME.fullmatch(case.name):
            raise ValueError(f"{case.split}/{case.name} is no place in the layout")
        other = names.setdefault(case.name.casefold(), case)
        if other is not case:
            raise UserError(
                f"{other.source or other.name} and {case.source or case.name} would both be written as {case.name}: "
                "rename one of them"
            )
    sides: dict[str, str] = {}
    for case in cases:
        if case.group and sides.setdefault(case.group, case.split) != case.split:
            raise ValueError(f"the group {case.group} stands on two sides")


def _complaint(faults: Mapping[str, str], count: int) -> UserError:
    shown = "; ".join(list(faults.values())[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return UserError(
        f"{len(faults)} of {count} images cannot be used ({shown}{more}): mend them, or leave them out with "
        "--skip-faulty"
    )
