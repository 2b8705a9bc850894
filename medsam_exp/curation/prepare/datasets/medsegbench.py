"""MedSegBench (Kus 2024, doi 10.1038/s41597-024-04159-2): one of its 35 sets from its .npz file, such as busi_256.npz.

Reads {train,val,test}_images (N, H, W) or (N, H, W, 3) with {train,val,test}_label (N, H, W), the publishers' split. A
label that is not 0 is the target; sets of several classes (wbc, monusac, bkai-igh, m2caiseg, abdomenus, fhpsaop) keep
the numbers, and what is said at the end names the classes. --category C1 takes the arrays of one subset (busi:
C1 benign, C2 malignant), and is needed where a set has no whole (idrib: C1 microaneurysms, C2 hemorrhages, C3 hard
exudates, C4 optic disc). The file keeps no names, so images are numbered, and patients are not known.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from medsam_exp.config.shells import for_shell
from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import SPLITS, PreparedImage, write_layout
from medsam_exp.curation.prepare.npz import NpzArrays, open_npz
from medsam_exp.curation.prepare.output import SourceFacts
from medsam_exp.curation.prepare.source import open_source
from medsam_exp.types import Mask, UserError

LICENCE = "of each set, as medsegbench.github.io lists them; cite Kus 2024 (doi 10.1038/s41597-024-04159-2) and the set"
_FILE = re.compile(r"(?P<set>.+)_(128|256|512)\.npz", re.IGNORECASE)


@dataclass(frozen=True)
class _Set:
    """What a set shows, in words for texts; and the classes of its labels from 1, where there are several."""

    modality: str
    target: str
    classes: tuple[str, ...] = ()


_SETS = {
    "abdomenus": _Set(
        "ultrasound",
        "abdominal organ",
        ("liver", "kidney", "pancreas", "vessels", "adrenals", "gallbladder", "bones", "spleen"),
    ),
    "bkai-igh": _Set("endoscopy", "polyp", ("neoplastic polyp", "non-neoplastic polyp")),
    "busi": _Set("ultrasound", "breast tumor"),
    "chasedb1": _Set("fundus photograph", "retinal vessels"),
    "chuac": _Set("X-ray angiography", "coronary artery"),
    "covid19radio": _Set("chest X-ray", "lungs"),
    "covidquex": _Set("chest X-ray", "COVID-19 infection"),
    "cystoidfluid": _Set("OCT", "cystoid macular edema"),
    "dca1": _Set("X-ray angiography", "coronary artery"),
    "drive": _Set("fundus photograph", "retinal vessels"),
    "fhpsaop": _Set("ultrasound", "fetal head", ("pubic symphysis", "fetal head")),
    "idrib": _Set("fundus photograph", "retinal lesion"),
    "isic2016": _Set("dermoscopy", "skin lesion"),
    "isic2018": _Set("dermoscopy", "skin lesion"),
    "kvasir": _Set("endoscopy", "polyp"),
    "m2caiseg": _Set(
        "laparoscopy",
        "organ or instrument",
        (
            *(
                "grasper",
                "bipolar",
                "hook",
                "scissors",
                "clipper",
                "irrigator",
                "specimen bag",
                "trocars",
                "clip",
            ),
            *("liver", "gallbladder", "fat", "organ", "artery", "intestine", "bile", "blood", "black"),
        ),
    ),
    "monusac": _Set(
        "histopathology", "nuclei", ("epithelial", "lymphocyte", "macrophage", "neutrophil", "ambiguous")
    ),
    "mosmedplus": _Set("CT", "COVID-19 infection"),
    "pandental": _Set("panoramic X-ray", "mandible"),
    "polypgen": _Set("endoscopy", "polyp"),
    "promise12": _Set("MRI", "prostate"),
    "ultrasoundnerve": _Set("ultrasound", "brachial plexus"),
    "usforkidney": _Set("ultrasound", "kidney"),
    "uwaterlooskincancer": _Set("dermoscopy", "skin lesion"),
    "wbc": _Set("microscopy", "white blood cell", ("cytoplasm", "nucleus")),
}
"""Sets whose target is named here; of others, the words are the user's to give."""


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("medsegbench")],
    category: Annotated[
        str | None, typer.Option(metavar="C1", help="One subset, where there are some.")
    ] = None,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare one set of MedSegBench."""
    with _opened(download) as (name, facts, arrays):
        about = _SETS.get(name)
        end = f"_{category}" if category else ""
        cases = [
            PreparedImage(
                name=f"{re.sub(r'[^a-z0-9]+', '_', name)}{end.lower()}_{split}_{number:05d}",
                split=split,
                read=partial(
                    _read, images, labels, number, several=about is not None and bool(about.classes)
                ),
                source=f"{split}_images{end}[{number}]",
            )
            for split in SPLITS
            for images, labels in _pairs(arrays, split, end)
            for number in range(len(images))
        ]
        if not cases:
            raise UserError(
                f"{arrays.shown} has no arrays such as train_images{end} with train_label{end} (it has "
                f"{', '.join(arrays.names)}): give a file of MedSegBench, or another --category"
            )
        request = command.request_of(given, "the publishers' own split", LICENCE, [facts])
        notes = [f"from {name}{end}"]
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    text = "text=subtype_name" if about is not None and about.classes else "text=class_name"
    yield from command.summary_lines(prepared, " ".join(["data=medsegbench", *_words(about)]), text)


@contextmanager
def _opened(download: Path) -> Iterator[tuple[str, SourceFacts, NpzArrays]]:
    """Name of the set, what was read, and its arrays."""
    alone = download.is_file() and download.suffix.lower() == ".npz"
    with open_source(download.parent if alone else download) as source:
        files = [name for name in source.names if name.lower().endswith(".npz")]
        if alone:
            files = [name for name in files if name == download.name]
        if not files:
            raise source.missing("file such as busi_256.npz")
        if len(files) > 1:
            raise UserError(
                f"{download} has {len(files)} sets ({', '.join(files[:5])}): give one of the files"
            )
        stem = PurePosixPath(files[0]).name
        named = _FILE.fullmatch(stem)
        with (
            source.file(files[0]) as path,
            open_npz(path, f"{download}" if alone else f"{download}: {stem}") as arrays,
        ):
            yield (named["set"] if named else stem.removesuffix(".npz")).lower(), source.facts(files), arrays


def _pairs(arrays: NpzArrays, split: str, end: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Images and labels of a split, where the file has it; idrib's images serve all subsets."""
    label = f"{split}_label{end}"
    image = f"{split}_images{end}" if f"{split}_images{end}" in arrays.names else f"{split}_images"
    if label not in arrays.names:
        return
    images, labels = arrays.array(image), arrays.array(label)
    if labels.ndim == images.ndim == 4 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    for name, found, depth in ((image, images, (3, 4)), (label, labels, (3,))):
        if (
            found.dtype.kind not in "bui"
            or found.ndim not in depth
            or (found.ndim == 4 and found.shape[-1] not in (1, 3))
        ):
            raise UserError(
                f"{arrays.shown}: {name} is {found.dtype} of {found.shape}, no stack of pictures: download it again"
            )
    if images.shape[:3] != labels.shape:
        raise UserError(
            f"{arrays.shown}: {image} is of {images.shape}, {label} of {labels.shape}: download it again"
        )
    if images.dtype != np.uint8:
        raise UserError(
            f"{arrays.shown}: {image} is {images.dtype}, and 8 bits are expected: download it again"
        )
    yield images, labels


def _read(
    images: NDArray[Any], labels: NDArray[Any], number: int, *, several: bool
) -> tuple[NDArray[np.uint8], Mask | NDArray[np.uint8]]:
    image = np.array(images[number])
    label = np.array(labels[number])
    if not several:
        return image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image, label != 0
    if label.min() < 0 or label.max() > np.iinfo(np.uint8).max:
        raise UserError(f"image {number} has labels from {label.min()} to {label.max()}, beyond 0 to 255")
    return image, label.astype(np.uint8)


def _words(about: _Set | None) -> Iterator[str]:
    """What to write on the command line beside the data."""
    if about is None:
        yield "data.target='WHAT THE LABELS SHOW'"
        return
    yield for_shell(f"data.modality={about.modality}")
    if about.classes:
        shown = ", ".join(f"{name}: [{label}]" for label, name in enumerate(about.classes, 1))
        yield for_shell(f"data.classes={{{shown}}}")
    else:
        yield for_shell(f"data.target={about.target}")
