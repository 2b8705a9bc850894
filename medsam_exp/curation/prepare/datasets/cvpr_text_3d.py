"""Volumes of the CVPR 2025 challenge on text-guided 3-D segmentation: slices, one sample for each slice and text.

Reads CASE.npz with `imgs` (D, H, W) or (D, H, W, 3) of 0 to 255, `gts` (D, H, W) labels and `text_prompts`, which maps
{"1": "a sentence about label 1", ..., "instance_label": 0 or 1}; a file of that name in a folder `*_gt*` may hold the
labels instead. With instance_label 1, every instance shows the one sentence. A slice is taken for each text whose label
it shows; --empty N adds every N-th slice that does not show it. The column `text` of index.csv has the sentences, the
group is the case. All images are test images. `spacing` is not used, as files do not say the order of its axes;
--spacing zyx (or xyz) says it.

The challenge scores whole volumes; scores of slices do not compare with its table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, write_layout
from medsam_exp.curation.prepare.npz import NpzArrays, open_npz
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.runtime.limits import MIB, refuse_beyond
from medsam_exp.types import Mask, UserError

LICENCE = (
    "CC BY-NC-SA 4.0 (junma/CVPR-BiomedSegFM on Hugging Face); cite the challenge and each dataset within"
)
_INSTANCES = "instance_label"


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("cvpr_text_3d")],
    every: Annotated[int, typer.Option(metavar="N", min=1, help="Every n-th slice only.")] = 1,
    empty: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Also every N-th slice that does not show a text's target."),
    ] = None,
    spacing: Annotated[
        Literal["zyx", "xyz"] | None,
        typer.Option(help="Order of the axes in `spacing`; by default it is not used."),
    ] = None,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare volumes of the CVPR 2025 challenge on text-guided segmentation."""
    with open_source(download) as source:
        cases: list[PreparedImage] = []
        notes: list[str] = []
        images, labels = _files(source)
        load = _loader(source)
        for case, name in images.items():
            try:
                volume = _volume_of(source, case, name, labels.get(case, name), spacing)
                cases += _slices(volume, load, every, empty)
            except UserError as error:
                if not skip_faulty:
                    raise
                notes.append(f"left out: {error}")
        request = command.request_of(given, "all images test", LICENCE, [source.facts()])
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    sizes = "" if spacing is None else " data.spacing_mm=index.csv"
    yield from command.summary_lines(prepared, f"data=cvpr_text_3d{sizes}", command.TEXTS_OF_INDEX)


def _files(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """Files of images and of labels apart, by case."""
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name in source.names:
        path = PurePosixPath(name)
        if path.suffix.lower() == ".npz":
            of_labels = any("_gt" in part.lower() for part in path.parts[:-1])
            kind = labels if of_labels else images
            if kind.setdefault(path.stem, name) != name:
                raise UserError(f"{source.shown} holds {kind[path.stem]} and {name}: keep one of the two")
    if not images:
        raise source.missing("files such as CT_case.npz")
    return images, labels


_Load = Callable[[str, str], NDArray[Any]]
"""An array by its file and its name."""


@contextmanager
def _opened(source: Source, name: str) -> Iterator[NpzArrays]:
    with source.file(name) as path, open_npz(path, f"{source.shown}: {name}") as arrays:
        yield arrays


def _loader(source: Source) -> _Load:
    """Reads arrays whole and keeps the last ones, as the slices of a volume are written one after the other."""
    alone = Lock()

    @lru_cache(maxsize=4)
    def load(file: str, name: str) -> NDArray[Any]:
        with _opened(source, file) as arrays:
            found = arrays.array(name)
            refuse_beyond(f"{arrays.shown}: {name}", found.nbytes, "volume_mib", MIB, "divide the volume")
            return np.array(found)

    def one_at_a_time(file: str, name: str) -> NDArray[Any]:
        with alone:
            return load(file, name)

    return one_at_a_time


@dataclass(frozen=True)
class _Volume:
    """What is known of a volume before its pixels are read."""

    case: str
    images: str  # file with imgs
    labels: str  # file with gts
    texts: Mapping[int, str]  # sentence by label
    instances: bool  # labels number instances of one target
    pixel_mm: tuple[float, float] | None


def _volume_of(source: Source, case: str, images: str, labels: str, order: str | None) -> _Volume:
    with _opened(source, images) as arrays, _opened(source, labels) as truth:
        texts, instances = _texts(arrays)
        shape, of_labels = arrays.shape("imgs"), truth.shape("gts")
        if len(shape) not in (3, 4) or len(of_labels) != 3 or shape[:3] != of_labels:
            raise UserError(f"{arrays.shown}: imgs is of {shape}, gts of {of_labels}: download it again")
        return _Volume(case, images, labels, texts, instances, _pixel_size(arrays, order))


def _slices(volume: _Volume, load: _Load, every: int, empty: int | None) -> Iterator[PreparedImage]:
    """The samples of a volume."""
    labels = load(volume.labels, "gts")
    for z in range(0, len(labels), every):
        shown = set(np.unique(labels[z]).tolist())
        for label, text in volume.texts.items():
            present = bool(shown - {0}) if volume.instances else label in shown
            if present or (empty is not None and (z // every) % empty == 0):
                yield PreparedImage(
                    name=f"{plain_name(volume.case)}_{z:04d}_{label}",
                    split="test",
                    read=partial(_read, load, volume, z, label),
                    group=volume.case,
                    source=f"{volume.images}[{z}]",
                    spacing_mm=volume.pixel_mm,
                    texts={"text": text},
                )


def _texts(arrays: NpzArrays) -> tuple[dict[int, str], bool]:
    """Sentences by label, and whether labels number instances of one target."""
    found = arrays.plain("text_prompts")
    said = f"{arrays.shown}: text_prompts"
    if not isinstance(found, Mapping):
        raise UserError(f"{said} is no dictionary of labels and sentences: download it again")
    texts: dict[int, str] = {}
    for label, text in found.items():
        if label == _INSTANCES:
            continue
        if not str(label).isdecimal() or not isinstance(text, str) or not text.strip():
            raise UserError(
                f"{said} has {label!r}: {text!r}, where a label and a sentence are expected: download it again"
            )
        texts[int(label)] = " ".join(text.split())
    instances = bool(int(found.get(_INSTANCES, 0)))
    if not texts or (instances and len(texts) > 1):
        raise UserError(
            f"{said} has {len(texts)} sentences{' of instances' if instances else ''}: download it again"
        )
    return texts, instances


def _pixel_size(arrays: NpzArrays, order: str | None) -> tuple[float, float] | None:
    if order is None:
        return None
    found = np.asarray(arrays.array("spacing"), dtype=np.float64).ravel()
    if found.shape != (3,) or not (np.isfinite(found).all() and found.min() > 0):
        raise UserError(
            f"{arrays.shown}: spacing is {found.tolist()}, and three positive numbers are expected"
        )
    sizes = dict(zip(order, found.tolist(), strict=True))
    return sizes["y"], sizes["x"]


def _read(load: _Load, volume: _Volume, z: int, label: int) -> tuple[NDArray[np.uint8], Mask]:
    image, labels = load(volume.images, "imgs")[z], load(volume.labels, "gts")[z]
    if image.dtype != np.uint8:
        raise UserError(f"{volume.images}: imgs is {image.dtype}, and 8 bits are expected: download it again")
    return image, labels != 0 if volume.instances else labels == label
