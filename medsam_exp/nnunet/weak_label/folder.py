"""Masks from any folder are the labels: another program's, a reader's, or an earlier run's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.masks import label_values
from medsam_exp.data.pixels import Pixels
from medsam_exp.data.verified_files import VerifiedFiles
from medsam_exp.nnunet.raw_dataset import case_name
from medsam_exp.nnunet.weak_label.compose import LabelMap, label_map
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Mask, UserError


@dataclass(frozen=True)
class Wanted:
    """An image whose label is looked for.

    Attributes:
        image_id: of the image.
        size: (H, W) of the image.
        samples: id of each of its samples, by the label value of the sample's class.
    """

    image_id: str
    size: tuple[int, int]
    samples: Mapping[int, str]


class FolderMasks:
    """Reads labels from PNG files of the images' size.

    ROOT/SAMPLE_ID.png is the mask of one sample, with the values 0 and 255, or 0 and 1. An image whose samples have
    ids of their own (IMAGE@CLASS) may instead have one ROOT/IMAGE_ID.png, whose values are 0 for background and
    1, 2, ... in the order of the classes. Files may also have nnU-Net's names of the cases, as its predictions for a
    raw dataset of ours have. Where masks of samples overlap, the first class has the pixel.

    Args:
        root: the folder.
        second: another folder, with a second opinion on the same targets; None for none.

    Raises:
        UserError: one of them is no folder.
    """

    source: ClassVar[Literal["folder"]] = "folder"

    def __init__(self, root: str, second: str | None = None) -> None:
        self.root, self._name, self._files = _folder("root", root), "root", VerifiedFiles()
        self.second: FolderMasks | None = None
        if second is not None:
            self.second = FolderMasks(str(_folder("second", second)))
            self.second._name = "second"

    def check(self, wanted: Iterable[Wanted], class_names: Sequence[str]) -> None:
        """Read every label once, before anything is trained on them.

        Args:
            wanted: the images; they may come one by one.
            class_names: of the label values 1, 2, ...

        Raises:
            UserError: names all masks that are missing, unreadable, of another size or of unexpected values.
        """
        problems, count = [], 0
        for image in wanted:
            count += 1
            try:
                self.read(image, class_names)
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError(
                f"weak_label.{self._name}={self.root}: {len(problems)} of {count} images have no usable label "
                f"({first_few(problems, separator='; ')}): mend them, or leave the images out"
            )

    def read(self, wanted: Wanted, class_names: Sequence[str]) -> LabelMap:
        """(H, W) uint8 label of one image, in the image's frame.

        Args:
            wanted: the image.
            class_names: of the label values 1, 2, ...

        Raises:
            UserError: a mask is missing, unreadable, of another size or of unexpected values.
        """
        files = self.files(wanted)
        if files == (self._file(wanted.image_id),) and wanted.image_id not in wanted.samples.values():
            return _read_labels(self._files.decoded(files[0]), files[0], wanted.size, class_names)
        masks: dict[int | None, Mask] = {
            value: _read_two_valued(self._files.decoded(self._file(name)), self._file(name), wanted.size)
            for value, name in wanted.samples.items()
        }
        return label_map(masks)

    def files(self, wanted: Wanted) -> tuple[Path, ...]:
        """The files that decide an image's label.

        Raises:
            UserError: one is missing, or there are both kinds.
        """
        whole = self._file(wanted.image_id)
        parts = tuple(self._file(sample_id) for _, sample_id in sorted(wanted.samples.items()))
        there = [part for part in parts if part.is_file()]
        if whole.is_file() and whole not in parts:
            if there:
                raise UserError(f"{wanted.image_id} has both {whole} and {there[0]}: remove one of them")
            return (whole,)
        missing = [str(part) for part in parts if part not in there]
        if missing:
            or_whole = "" if there or whole in parts else f" (or {whole} with a value per class)"
            raise UserError(f"{wanted.image_id} has no {', '.join(missing)}{or_whole}")
        return parts

    def digest(self, digests: FileDigests) -> str:
        """Hash of the names and contents of all PNG files of the folder, and of the second."""
        files = sorted(self.root.glob("*.png"))
        parts = [part for file in files for part in (file.name, self._files.digest(file, digests))]
        return text_digest(*parts, *([] if self.second is None else [self.second.digest(digests)]))

    def _file(self, name: str) -> Path:
        """A sample's or image's file; by nnU-Net's name of the case, or with accents apart, where it is so called."""
        names = (name, case_name(name), normalize("NFD", name))
        files = [self.root / f"{each}.png" for each in names]
        return next((file for file in files if file.is_file()), files[0])


def _folder(name: str, given: str) -> Path:
    """The folder that weak_label.NAME gives.

    Raises:
        UserError: it is none.
    """
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"weak_label.{name}={given} is not a folder: put the masks there, SAMPLE_ID.png each, or correct it"
        )
    return folder


def _read_two_valued(pixels: Pixels, path: Path, size: tuple[int, int]) -> Mask:
    values = _read_values(pixels, path, size)
    found = set(np.unique(values).tolist())
    if not (found <= {0, 1} or found <= {0, 255}):
        raise UserError(f"{path} has the values {first_few(sorted(found))}: a mask has 0 and 255, or 0 and 1")
    return values > 0


def _read_labels(pixels: Pixels, path: Path, size: tuple[int, int], class_names: Sequence[str]) -> LabelMap:
    values = _read_values(pixels, path, size)
    found = set(np.unique(values).tolist())
    if len(class_names) == 1 and found <= {0, 255}:
        return (values > 0).astype(np.uint8)
    unknown = {value for value in found if value not in range(len(class_names) + 1)}
    if unknown:
        meant = ", ".join(f"{value} {name}" for value, name in enumerate(class_names, 1))
        raise UserError(
            f"{path} has the values {first_few(sorted(unknown))}: label values are 0 background, {meant}"
        )
    return values.astype(np.uint8)


def _read_values(pixels: Pixels, path: Path, size: tuple[int, int]) -> NDArray[Any]:
    """(H, W) stored numbers of a mask."""
    values = label_values(pixels, path)
    if values.shape != size:
        mask, image = (f"{width} x {height}" for height, width in (values.shape, size))
        raise UserError(f"{path} has {mask} pixels where its image has {image}")
    return values
