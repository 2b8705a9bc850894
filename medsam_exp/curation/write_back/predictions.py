"""Masks and maps of a run, or of a folder of mask images, put back together as volumes on their scans' voxels."""

import csv
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.decoding import PICTURE_SUFFIXES, decode
from medsam_exp.data.masks import label_values, read_mask
from medsam_exp.data.volumes.scan import ScanRecord
from medsam_exp.nnunet.raw_dataset import case_name
from medsam_exp.runtime.artifacts import StageArtifacts, stored_digests
from medsam_exp.runtime.foreign import naming_the_file, read_table_of_json
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.records import SaliencyRecord
from medsam_exp.types import UserError

_Planes = Mapping[str, Callable[[], NDArray[Any]]]
"""By sample id what reads the (H, W) prediction of a slice: bool masks, or float32 maps in [0, 1]."""


@dataclass(frozen=True)
class Assembled:
    """Predictions of one scan.

    Attributes:
        record: the scan.
        classes: (I, J, K) by class, bool or float32; the class is "" where there is only one.
        missing: places along the cut's axis that nothing was predicted for; they are background.
    """

    record: ScanRecord
    classes: Mapping[str, NDArray[Any]]
    missing: tuple[int, ...]


def assemble(record: ScanRecord, predicted: Mapping[str, _Planes]) -> Assembled | None:
    """Put the predictions of a scan's slices where they were cut from.

    Args:
        record: the scan.
        predicted: by class, slices of this and of other scans.

    Returns:
        None where no slice of the scan was predicted.

    Raises:
        UserError: a prediction has not its slice's size.
    """
    volumes = {name: _volume(record, planes) for name, planes in predicted.items()}
    done = {
        record.slices[image] for planes in predicted.values() for image in planes if image in record.slices
    }
    missing = tuple(index for index in range(record.shape[record.view.axis]) if index not in done)
    return Assembled(record, volumes, missing) if done else None


def _volume(record: ScanRecord, planes: _Planes) -> NDArray[Any]:
    height, width = record.view.size(record.shape)
    volume: NDArray[Any] = np.zeros(record.shape, bool)
    for sample_id, index in record.slices.items():
        if sample_id not in planes:
            continue
        plane = planes[sample_id]()
        if plane.shape != (height, width):
            raise UserError(
                f"the prediction of {sample_id} has {plane.shape[1]} x {plane.shape[0]} pixels, its slice {width} x "
                f"{height}: give predictions in the size of the prepared images"
            )
        if volume.dtype != plane.dtype:
            volume = volume.astype(plane.dtype)
        record.view.put(volume, index, plane)
    return volume


What = Literal["masks", "labels", "probability", "saliency"]
_TEXTS = " | "  # between a sample's texts in per_image.csv
_OF_CLASS = "@"  # between an image's id and the class it is asked for


@dataclass(frozen=True)
class Predictions:
    """What is to be written back.

    Attributes:
        planes: by class, then by image id; the class is "" where images are asked for one thing.
        labels: of each class, 1, 2, ...
    """

    planes: Mapping[str, _Planes]
    labels: Mapping[str, int]

    @property
    def image_ids(self) -> set[str]:
        """All images that something was predicted for."""
        return {image_id for planes in self.planes.values() for image_id in planes}


def read_predictions(folder: Path, what: What, wanted: Collection[str]) -> Predictions:
    """Find what a run, or anybody else, predicted.

    Args:
        folder: of a run, or one with mask images named as the prepared images (of several classes IMAGE@CLASS).
        what: masks; labels, for images whose values are class labels; the mean probability of a run's ensemble;
            or a run's saliency maps.
        wanted: ids of images; their files may also have nnU-Net's names of them.

    Raises:
        UserError: the folder has none of it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give a run's folder, or one with mask images")
    others = {case_name(image_id): image_id for image_id in wanted}
    if what == "labels":
        return _label_images(folder / "labels" if (folder / "labels").is_dir() else folder, others)
    found: dict[str, Callable[[], NDArray[Any]]]
    if what == "saliency":
        found = _saliency(folder, wanted)
    elif what == "probability":
        found = {path.stem: partial(_map, path) for path in (folder / "uncertainty").glob("*.npz")}
    else:
        place = folder / "masks" if (folder / "masks").is_dir() else folder
        found = {path.stem: partial(_mask, path) for path in _images(place)}
    if not found:
        raise UserError(f"{folder} has no {what}: check the path, or choose another --what")
    return _by_class(found, folder, others)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def _mask(path: Path) -> NDArray[np.bool_]:
    return read_mask(path)[0]


def _map(path: Path) -> NDArray[np.float32]:
    """The mean probability of an ensemble."""
    with np.load(path, allow_pickle=False) as stored:
        return np.asarray(stored["probability"], np.float32)


def _image_id(name: str, others: Mapping[str, str]) -> str:
    """Id of an image by its file's name, which may be nnU-Net's name of the case that was made of it."""
    composed = normalize("NFC", name)
    return others.get(composed, composed)


def _by_class(
    found: Mapping[str, Callable[[], NDArray[Any]]], folder: Path, others: Mapping[str, str]
) -> Predictions:
    planes: dict[str, dict[str, Callable[[], NDArray[Any]]]] = defaultdict(dict)
    for sample_id, read in found.items():
        image_id, _, name = sample_id.partition(_OF_CLASS)
        planes[name][_image_id(image_id, others)] = read
    if "" in planes and len(planes) > 1:
        raise UserError(f"{folder} mixes masks with and without a class (ID@CLASS): keep one kind")
    stored = _stored_labels(folder / "labels")  # so that all files of a run agree; else by alphabet
    in_order = {name: number for number, name in enumerate(sorted(planes), start=1)}
    agreed = all(name in stored for name in planes)
    return Predictions(planes, {name: stored[name] for name in planes} if agreed else in_order)


def _stored_labels(folder: Path) -> dict[str, int]:
    """Numbers of a run's label maps by class, where it wrote them."""
    stored = folder / "labels.json"
    if not stored.is_file():
        return {}
    with naming_the_file(stored, "is not what a run leaves", "give the same run again"):
        return {name: int(number) for name, number in read_table_of_json(stored).items()}


def _label_images(folder: Path, others: Mapping[str, str]) -> Predictions:
    paths = _images(folder)
    if not paths:
        raise UserError(f"{folder} has no label images: check the path, or choose another --what")
    values = sorted({int(value) for path in paths for value in np.unique(_labels(path)) if value > 0})
    names = {number: name for name, number in _stored_labels(folder).items()}
    labels = {names.get(value, f"label{value}"): value for value in range(1, max(values, default=1) + 1)}
    planes = {
        name: {_image_id(path.stem, others): partial(_has_label, path, value) for path in paths}
        for name, value in labels.items()
    }
    return Predictions(planes, labels)


def _labels(path: Path) -> NDArray[Any]:
    return label_values(decode(path), path)


def _has_label(path: Path, value: int) -> NDArray[np.bool_]:
    return np.asarray(_labels(path) == value)


def _saliency(folder: Path, wanted: Collection[str]) -> dict[str, Callable[[], NDArray[Any]]]:
    """A run's maps in the stored results; of a sample whose image changed since, the newest."""
    try:
        key = str(read_table_of_json(folder / "summary.json")["keys"]["saliency"])
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"{folder} is no finished run with saliency maps: give a run's folder") from error
    places = [above / "artifacts" / "saliency" / key for above in folder.resolve().parents]
    stored = next((place for place in places if place.is_dir()), None)
    if stored is None:
        raise UserError(
            f"the saliency maps of {folder} are not among the stored results any more: run it again"
        )
    digests = stored_digests(stored)
    if not digests:
        raise UserError(
            f"{stored} has no maps that this version can read (earlier ones stored each in a file of its own): "
            f"run {folder} again"
        )
    generations = [
        StageArtifacts(
            stored.parents[1],
            "saliency",
            key,
            {sample_id: each[age] for sample_id, each in digests.items() if len(each) > age},
        )
        for age in range(max(map(len, digests.values())))
    ]
    texts = _texts_of_run(folder)
    return {
        sample_id: partial(
            read_map, _of_text(generations[: len(each)], sample_id, texts.get(sample_id)), sample_id
        )
        for sample_id, each in digests.items()
        if sample_id.partition(_OF_CLASS)[0] in wanted
    }


def _of_text(found: Sequence[StageArtifacts], sample_id: str, text: str | None) -> StageArtifacts:
    """Where the newest of a sample's maps is that is of the run's text, if it was asked for several."""
    if len(found) == 1:
        return found[0]
    by_text = {_TEXTS.join(one.record(sample_id, SaliencyRecord)["texts"]): one for one in found}
    if len(by_text) > 1 and text not in by_text:
        raise UserError(
            f"{found[0].folder} has maps of {sample_id} for several texts ({', '.join(map(repr, by_text))}), and the "
            "run's per_image.csv does not say which is its own: run it again"
        )
    return by_text[text] if text in by_text else found[-1]


def _texts_of_run(folder: Path) -> dict[str, str]:
    """What a run asked of each sample, where its table says it; several texts in one line."""
    table = folder / "per_image.csv"
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        return {row["id"]: row["text"] for row in csv.DictReader(file) if "id" in row and "text" in row}
