"""Brain tumours in T1-weighted MRI: figshare 1512427 (Cheng 2017), 3,064 slices of 233 patients.

Reads N.mat (MATLAB v7.3, which is HDF5) in any folders and zips: brainTumorDataPublic_1-766.zip and its three
sisters, the zip around them, or the unpacked files. A file holds cjdata.image (int16), tumorMask, label (1 meningioma,
2 glioma, 3 pituitary tumour) and PID, the patient. MATLAB stores columns first, so rows and columns are exchanged back.

No patient is on two sides. --split draws patients by hash, as near to the paper's numbers as whole patients allow
(1,462 to train, 1,002 to validate, 600 to test; its authors published no list). --test-fold N takes the publishers' own
five folds of patients from cvind.mat instead: fold N tests, the next one validates, the other three train.

Intensities become 8 bits: of each slice, the values below the lower percentile become 0, those above the upper one 255,
and what lies between is scaled in a straight line and rounded. The default, 0.1 and 99.9, keeps single bright pixels
from darkening the rest; 0,100 is the plain range.

A pixel is 0.49 x 0.49 mm, as the publishers say of their 512 x 512 matrix; slices of other sizes get no spacing.
"""

import functools
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, write_layout
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.curation.prepare.splitting import divided
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Mask, UserError

LICENCE = "as its page on figshare states it (doi 10.6084/m9.figshare.1512427); cite Cheng 2017"
_SLICES = 3064
_PARTS = ((1, 766), (767, 1532), (1533, 2298), (2299, 3064))  # of brainTumorDataPublic_
_CLASSES = {1: "meningioma", 2: "glioma", 3: "pituitary"}
_PAPER = "train=rest,val=1002,test=600"
_PART_OF_PAPER = "train=47.7%,val=32.7%,test=19.6%"
_MATRIX, _PIXEL_MM = (512, 512), 0.49
_FOLDS = "cvind.mat"


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("brain_tumors")],
    split: Annotated[
        str | None, command.amounts_of(f"Patients together (by default {_PAPER}, the paper's numbers)")
    ] = None,
    seed: command.Seed = 0,
    test_fold: Annotated[
        int | None, typer.Option(min=1, max=5, help="Split by the publishers' folds (cvind.mat) instead.")
    ] = None,
    percentiles: Annotated[str, typer.Option(metavar="LOW,HIGH", help="Become 0 and 255.")] = "0.1,99.9",
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on where some of the 3,064 files are missing.")
    ] = False,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare the brain tumours."""
    low, high = _percentiles(percentiles)
    with open_source(download) as source:
        files = _files(source, partial)
        heads, notes = _heads(source, files, skip_faulty)
        rule = "patients together, drawn by hash of (seed, patient)"
        splits: dict[int, str] = {}
        if test_fold is not None:
            rule = f"the publishers' folds of patients: {test_fold} tests, {test_fold % 5 + 1} validates"
            splits = _by_fold(source, heads, test_fold)
        cases = [
            PreparedImage(
                name=f"{head.class_name}_{number:04d}",
                split=splits.get(number, ""),
                read=functools.partial(_read, source, files[number], low, high),
                class_name=head.class_name,
                group=head.patient,
                source=files[number],
                spacing_mm=(_PIXEL_MM, _PIXEL_MM) if head.shape == _MATRIX else None,
            )
            for number, head in heads.items()
        ]
        if test_fold is None:
            amounts = split or (_PAPER if len(heads) >= _SLICES else _PART_OF_PAPER)
            cases = divided(cases, amounts, seed)
        used = [name for name in source.names if name.lower().endswith(".mat")]
        request = command.request_of(given, rule, LICENCE, [source.facts(used)])
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    sizes = " data.spacing_mm=index.csv" if any(case.spacing_mm for case in cases) else ""
    yield from command.summary_lines(prepared, f"data=brain_mri{sizes}")


@dataclass(frozen=True)
class _Head:
    """What a file says beside its pixels."""

    class_name: str
    patient: str
    shape: tuple[int, ...]


def _files(source: Source, partial_is_fine: bool) -> dict[int, str]:
    """Names of the slices' files by number."""
    found: dict[int, str] = {}
    for name in source.names:
        if match := re.fullmatch(r"(\d+)\.mat", PurePosixPath(name).name, re.IGNORECASE):
            number = int(match[1])
            if number in found:
                raise UserError(f"{source.shown} holds {found[number]} and {name}: keep one of the two")
            found[number] = name
    if not found:
        raise source.missing("files such as 1.mat (in brainTumorDataPublic_1-766.zip and its sisters)")
    missing = set(range(1, _SLICES + 1)) - found.keys()
    if missing and not partial_is_fine:
        parts = [f"{first}-{last}" for first, last in _PARTS if missing & set(range(first, last + 1))]
        raise UserError(
            f"{source.shown} has {len(found)} of {_SLICES} slices; {min(missing)}.mat and others are missing, which "
            f"come in brainTumorDataPublic_{', _'.join(parts)}.zip: add them, or go on without with --partial"
        )
    return dict(sorted(found.items()))


def _heads(source: Source, files: Mapping[int, str], skip_faulty: bool) -> tuple[dict[int, _Head], list[str]]:
    def head_of(name: str) -> _Head | str:
        try:
            return _open(source, name)[0]
        except UserError as error:
            return str(error)

    found = dict(zip(files, map_in_threads(head_of, files.values()), strict=True))
    faults = [fault for fault in found.values() if isinstance(fault, str)]
    heads = {number: head for number, head in found.items() if isinstance(head, _Head)}
    if faults and (not skip_faulty or not heads):
        raise UserError(
            f"{len(faults)} of {len(files)} slices cannot be read ({first_few(faults, separator='; ')}): download them "
            "again, or leave them out with --skip-faulty"
        )
    notes = [f"left out: {fault}" for fault in faults]
    if len(files) < _SLICES:
        notes.append(f"slices that were there: {len(files)} of {_SLICES}")
    return heads, notes


def _read(source: Source, name: str, low: float, high: float) -> tuple[NDArray[np.uint8], Mask]:
    _, image, mask = _open(source, name)
    return _to_eight_bits(image, low, high), mask


def _open(source: Source, name: str) -> tuple[_Head, NDArray[Any], Mask]:
    """Everything in a file, rows before columns."""
    try:
        with _hdf5(source.read(name)) as file:
            data = file["cjdata"]
            image, mask = np.asarray(data["image"]).T, np.asarray(data["tumorMask"]).T > 0
            label, patient = int(np.asarray(data["label"]).item()), _patient(np.asarray(data["PID"]))
    except UserError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source.shown}: {name} holds no cjdata of this dataset ({reason})") from error
    if label not in _CLASSES:
        raise UserError(f"{source.shown}: {name} has the label {label}, which is none of 1, 2, 3")
    return _Head(_CLASSES[label], plain_name(patient), image.shape), image, mask


def _hdf5(data: bytes) -> Any:
    require("h5py")
    import h5py  # type: ignore[import-untyped]  # slow to import

    return h5py.File(io.BytesIO(data), "r")


def _patient(codes: NDArray[Any]) -> str:
    """Text as MATLAB stores it, one number a letter; a plain number stands for itself."""
    if codes.size > 1 or codes.dtype == np.uint16:
        return "".join(chr(int(code)) for code in codes.ravel()).strip()
    return str(int(codes.item()))


def _by_fold(source: Source, heads: Mapping[int, _Head], test_fold: int) -> dict[int, str]:
    """Splits by number from the publishers' folds."""
    place = next((name for name in source.names if PurePosixPath(name).name.lower() == _FOLDS), None)
    if place is None:
        raise source.missing(f"{_FOLDS}, which --test-fold needs")
    try:
        with _hdf5(source.read(place)) as file:
            folds = [int(fold) for fold in np.asarray(file["cvind"]).ravel()]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{source.shown}: {place} holds no cvind ({error}): download it again") from error
    if len(folds) < max(heads):
        raise UserError(f"{source.shown}: {place} has {len(folds)} folds for slices up to {max(heads)}.mat")
    names = {test_fold: "test", test_fold % 5 + 1: "val"}
    splits, sides = dict[int, str](), dict[str, str]()
    for number, head in heads.items():
        split = splits[number] = names.get(folds[number - 1], "train")
        if sides.setdefault(head.patient, split) != split:
            raise UserError(
                f"{source.shown}: {place} puts the patient {head.patient} into two folds: use --split instead"
            )
    return splits


def _to_eight_bits(image: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """(H, W) stored numbers to uint8, the percentiles `low` and `high` of the slice to 0 and 255."""
    values = image.astype(np.float64)
    bottom, top = np.percentile(values, [low, high])
    if top <= bottom:  # nearly all pixels are equal
        bottom, top = values.min(), values.max()
    scale = 255.0 / (top - bottom) if top > bottom else 0.0
    result: NDArray[np.uint8] = np.rint(np.clip((values - bottom) * scale, 0, 255)).astype(np.uint8)
    return result


def _percentiles(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = -1.0, -1.0
    if not 0 <= low < high <= 100:
        raise UserError(f"--percentiles is {text!r}: give two numbers between 0 and 100, as 0.1,99.9")
    return low, high
