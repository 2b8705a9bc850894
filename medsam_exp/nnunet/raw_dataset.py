"""Images and labels as nnU-Net's raw dataset: PNG files at native resolution, and dataset.json."""

import hashlib
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.nnunet.environment import RAW
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import RGBImage, UserError

_ENDING = ".png"
_CASES_FILE = "cases.json"  # nnU-Net does not read it
_LONGEST_READABLE = 40
_HASH_DIGITS = 12
_GRAY, _COLOUR = ("gray",), ("R", "G", "B")  # other names would change nnU-Net's normalisation


@dataclass(frozen=True)
class Case:
    """One image to learn from.

    Attributes:
        id: the sample's or image's id, of any characters.
        image: (H, W, 3) uint8 RGB, original frame.
        label: (H, W) uint8, 0 background, 1 to K the classes, K + 1 unknown; original frame.
    """

    id: str
    image: RGBImage
    label: NDArray[np.uint8]


@dataclass(frozen=True)
class RawDataset:
    """A finished raw dataset.

    Attributes:
        folder: nnUNet_raw/Dataset001_NAME, with imagesTr, labelsTr and dataset.json.
        case_ids: id of each case by its name in the files, in order of name.
        channels: names of the images' channels: one for gray images, three for colour.
        labels: value of each class by name; background is 0, and the highest may be "ignore".
    """

    folder: Path
    case_ids: Mapping[str, str]
    channels: tuple[str, ...]
    labels: Mapping[str, int]

    def image_file(self, name: str) -> Path:
        """PNG of a case's image."""
        return _files(self.folder, name)[0]

    def label_file(self, name: str) -> Path:
        """PNG of a case's label."""
        return _files(self.folder, name)[1]


def case_name(sample_id: str) -> str:
    """Name of a sample's case: lower-case letters, digits, hyphens and one underscore; 53 characters at most.

    nnU-Net cuts file names at fixed places, puts them into regular expressions and expands $variables in them; file
    systems treat spaces, colons and case differently. So the name is what is plain in the id, and a hash of all of it.
    It depends on the id alone: the same image has the same name in every dataset.
    """
    plain = unicodedata.normalize("NFKD", sample_id).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_READABLE].strip("-")
    digest = hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{readable or 'case'}_{digest}"


def write_raw_dataset(
    folder: Path, name: str, cases: Iterable[Case], labels: Mapping[str, int]
) -> RawDataset:
    """Write folder/nnUNet_raw/Dataset001_NAME, in place of one that is there.

    One case at a time is in memory. The dataset appears under its name when all of it is written; a killed writer
    leaves a hidden folder, which nobody takes for a dataset.

    If every image is gray (R = G = B at every pixel), the images have one channel; if one is not, all have three.

    Args:
        folder: where nnUNet_raw lies or is made.
        name: of the dataset; what cannot be in a folder's name is left out.
        cases: in any order; they may come one by one.
        labels: value of each class by name, {"background": 0, ...}, and of "ignore" where pixels are unknown.

    Raises:
        UserError: there is no case, or one id comes twice.
        ValueError: image and label do not fit together.
    """
    require("nnunetv2")
    words = re.findall(r"[A-Za-z0-9]+", name)
    target = folder / RAW / f"Dataset001_{''.join(word[0].upper() + word[1:] for word in words) or 'Data'}"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        new, old = partial / "new", partial / "old"
        case_ids, channels = _write_cases(new, cases)
        if not case_ids:
            raise UserError(f"there is no image to train on for {name}: all were dropped, or there were none")
        _write_descriptions(new, name, case_ids, channels, labels)
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(partial)
    return RawDataset(target, case_ids, channels, dict(labels))


def _write_cases(folder: Path, cases: Iterable[Case]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Ids by case name, in order of name, and the names of the channels that all images have now."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    case_ids: dict[str, str] = {}
    gray: list[Path] = []
    for case in cases:
        _check(case)
        name = case_name(case.id)
        if name in case_ids:
            raise UserError(f"{case.id} comes twice among the images to train on: give each its own id")
        case_ids[name] = case.id
        image_file, label_file = _files(folder, name)
        pixels: NDArray[np.uint8] = case.image
        if (case.image == case.image[..., :1]).all():
            pixels = case.image[..., 0]
            gray.append(image_file)
        Image.fromarray(pixels).save(image_file)
        Image.fromarray(case.label).save(label_file)
    in_order = dict(sorted(case_ids.items()))
    if len(gray) == len(case_ids):
        return in_order, _GRAY
    for image_file in gray:
        with Image.open(image_file) as image:
            image.convert("RGB").save(image_file)
    return in_order, _COLOUR


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    """A case's image and label."""
    return folder / "imagesTr" / f"{name}_0000{_ENDING}", folder / "labelsTr" / f"{name}{_ENDING}"


def _check(case: Case) -> None:
    if case.image.ndim != 3 or case.image.shape[2] != 3 or case.image.dtype != np.uint8:
        raise ValueError(
            f"the image of {case.id} is {case.image.dtype} {case.image.shape}, not uint8 (H, W, 3)"
        )
    if case.label.shape != case.image.shape[:2] or case.label.dtype != np.uint8:
        raise ValueError(
            f"the label of {case.id} is {case.label.dtype} {case.label.shape}, not uint8 {case.image.shape[:2]}"
        )


def _write_descriptions(
    folder: Path, name: str, case_ids: Mapping[str, str], channels: tuple[str, ...], labels: Mapping[str, int]
) -> None:
    from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json

    generate_dataset_json(
        str(folder),
        channel_names={str(index): channel for index, channel in enumerate(channels)},
        labels=dict(labels),
        num_training_cases=len(case_ids),
        file_ending=_ENDING,
        dataset_name=name,
        license="see the images' source",
        converted_by="medsam_exp",
    )
    (folder / _CASES_FILE).write_text(json_text(case_ids, indent=1))
