"""The files of one split of a folder: targets, image and mask paired by stem, decoded and checked."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from unicodedata import normalize

import numpy as np
from pydantic import TypeAdapter

from medsam_exp.data.decoding import IMAGE_SUFFIXES, decode, refuse_elongated, to_rgb
from medsam_exp.data.masks import label_values, refuse_unlisted_values, to_mask
from medsam_exp.data.pixels import Pixels, pixel_digest
from medsam_exp.runtime.artifacts import LostRecordError, StageArtifacts, stage_key
from medsam_exp.runtime.digests import text_digest
from medsam_exp.runtime.shared_work import own_blocks
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.types import UserError

_UNSAFE = re.compile(r'[/\\:*?"<>|@%\x00-\x1f]|^[ .]|[ .]$|^$')


@dataclass(frozen=True)
class Target:
    """One thing to find, and where its true pixels are.

    Attributes:
        class_name: None where the folder has a single target.
        folder: of its masks, below SPLIT_masks; "" when they lie there directly.
        values: that count as foreground in its masks; None for two-valued masks.
    """

    class_name: str | None = None
    folder: str = ""
    values: tuple[int, ...] | None = None

    def sample_id(self, stem: str) -> str:
        """Id of this target in one image: the image's stem, followed by @ and the class where there is one."""
        return stem if self.class_name is None else f"{stem}@{self.class_name}"


@dataclass(frozen=True)
class Targets:
    """All that is to be found in each image.

    Attributes:
        each: one target, or one per class.
        listed: all values that label masks may have; None when any value may occur.
    """

    each: tuple[Target, ...]
    listed: frozenset[int] | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of masks below SPLIT_masks."""
        return tuple(dict.fromkeys(target.folder for target in self.each))

    @property
    def values(self) -> tuple[int, ...] | None:
        """All values that count as foreground of any target; None for two-valued masks."""
        given = [target.values for target in self.each if target.values is not None]
        return tuple(sorted(set().union(*given))) if given else None


def targets_of(
    classes: dict[str, int | list[int]] | list[str] | None,
    mask_values: Sequence[int] | None,
    background: Sequence[int],
) -> Targets:
    """What a folder's configuration asks for.

    Args:
        classes: values by class, of masks with several values; or names of folders below SPLIT_masks, one per
            class; None for a single target.
        mask_values: values that are foreground, where no class has values of its own.
        background: values that belong to no class.

    Raises:
        UserError: a class has an unusable name or no value, or the settings contradict each other.
    """
    shared = None if mask_values is None else tuple(int(value) for value in mask_values)
    if classes is None:
        return Targets((Target(values=shared),))
    if not classes:
        raise UserError("data.classes is empty: name the classes, or use null for a single target")
    _check_names(list(classes))
    if isinstance(classes, list):
        return Targets(tuple(Target(name, name, shared) for name in classes))
    if shared is not None:
        raise UserError(
            "data.mask_values and data.classes both say which values count: set one of them to null"
        )
    values = {name: _values(name, given, background) for name, given in classes.items()}
    listed = frozenset(background).union(*values.values())
    return Targets(tuple(Target(name, "", values[name]) for name in classes), listed)


def _check_names(names: list[str]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise UserError(
                f"data.classes has {name!r}, a word that YAML reads so (no, yes, 1): put it in quotes"
            )
        if _UNSAFE.search(name):
            raise UserError(
                f"data.classes has {name!r}, which cannot be part of a file's name: use letters, digits, "
                "spaces, hyphens and underscores"
            )
    folded = [name.casefold() for name in names]
    twice = [name for name in names if folded.count(name.casefold()) > 1]
    if twice:
        raise UserError(
            f"data.classes has {' and '.join(twice)}, which are one name to some file systems: rename one"
        )


def _values(name: str, given: int | Sequence[int], background: Sequence[int]) -> tuple[int, ...]:
    values = (given,) if isinstance(given, int) else tuple(int(value) for value in given)
    if not values:
        raise UserError(f"data.classes.{name} is empty: give the values of its pixels, such as [1]")
    both = sorted(set(values) & set(background))
    if both:
        raise UserError(
            f"data.classes.{name} and data.background both have {', '.join(map(str, both))}: remove it from one"
        )
    return values


_OF_SYSTEMS = ("Thumbs.db", "desktop.ini")
_KINDS_SHOWN = 5


@dataclass(frozen=True)
class FilePair:
    """The files of one image.

    Attributes:
        image: the image file (a mask's where there is no image).
        masks: its mask files by folder below SPLIT_masks; folders without a file for this image are left out.
        problem: why the files make no sample, in words; None when they do.
    """

    image: Path
    masks: Mapping[str, Path]
    problem: str | None = None

    @property
    def stem(self) -> str:
        """By which tables, texts and masks know the image, however its file's name is composed."""
        return normalize("NFC", self.image.stem)


@dataclass
class PairCheck:
    """Result of decoding the image and the masks of one sample.

    Attributes:
        problem: why the sample cannot be used, in words; None when it can.
        lossy: a mask's values were blurred and had to be thresholded.
        present: targets of which the image has a pixel.
        values: of the masks' pixels, where the targets are given by values; else none.
        spacing_mm: (row, column) size of a pixel, where the image's own file gives it.
        remarks: what is odd about the image and how it is read instead; see `Pixels`.
        pixels: digest of the decoded image.
        patient: identifies the patient, secret; "" where the image's own file does not.
    """

    problem: str | None = None
    lossy: bool = False
    present: tuple[Target, ...] = ()
    values: frozenset[int] = frozenset()
    spacing_mm: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()
    pixels: str = ""
    patient: str = ""


def find_folders(root: Path, split: str) -> tuple[Path, Path | None]:
    """Find the folders of a split's images and masks.

    Args:
        root: of the dataset.
        split: prefix of the folders.

    Returns:
        SPLIT_images and SPLIT_masks; None for the latter where there is no such folder. A root with images and without
        folders of splits is a folder of images itself, without masks.

    Raises:
        UserError: the root or the images' folder is missing; gives the expected layout.
    """
    images, masks = root / f"{split}_images", root / f"{split}_masks"
    if not root.is_dir():
        raise UserError(
            f"data.root: {root} is not a folder; expected {images} and {masks} with files of equal names"
        )
    if not images.is_dir():
        if _images_by_stem(root) and not any(root.glob("*_images")):
            return root, None
        raise UserError(
            f"data.split: {root} has no folder {images.name} (it has {_folders_in(root)}); "
            f"{_download_hint(root) or _layout_hint(images, masks)}"
        )
    return images, masks if masks.is_dir() else None


def _layout_hint(images: Path, masks: Path) -> str:
    return (
        f"expected {images.name} and, for scores, {masks.name}, or images right here; "
        "for images in folders within folders: medsam-exp segment -i FOLDER --recursive"
    )


def _download_hint(root: Path) -> str:
    """What to do with an original download, which is not prepared; empty for other folders."""
    if all((root / name).is_dir() for name in ("benign", "malignant", "normal")):
        return (
            f"these are the folders of BUSI's download; arrange them first: medsam-exp prepare busi '{root}'"
        )
    return ""


def _folders_in(root: Path) -> str:
    return ", ".join(sorted(folder.name for folder in root.iterdir() if folder.is_dir())) or "no folders"


def mask_folders(masks: Path | None, targets: Targets) -> dict[str, Path]:
    """Find the folders that hold the targets' masks.

    Args:
        masks: SPLIT_masks; None without masks.
        targets: what is to be found.

    Returns:
        Folders by name below `masks`, "" for `masks` itself; none without masks.

    Raises:
        UserError: a class has no folder.
    """
    if masks is None:
        return {}
    folders = {name: masks / name for name in targets.folders}
    missing = [name for name, folder in folders.items() if not folder.is_dir()]
    if missing:
        raise UserError(
            f"data.classes: {masks} has no folder {', '.join(missing)} (it has {_folders_in(masks)}); put each "
            "class's masks in a folder of its name, or give the values of a label mask, as in "
            "data.classes='{NAME: [1]}'"
        )
    return folders


def _images_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Image files of a folder by stem (Unicode's NFC); hidden files and files that are no images do not count."""
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if one.is_file() and not one.name.startswith("."))
    images: dict[str, list[Path]] = {}
    for path in map(folder.joinpath, names):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.setdefault(normalize("NFC", path.stem), []).append(path)
    return images


def note_of_ignored_files(folder: Path) -> list[str]:
    """Note of files in a folder of images that are no images, by ending; hidden files are not counted."""
    with os.scandir(folder) as entries:
        there = {Path(one.name): one.is_dir() for one in entries if not one.name.startswith(".")}
    kinds = Counter(
        "folders" if is_folder else path.suffix.lower() or path.name
        for path, is_folder in there.items()
        if path.name not in _OF_SYSTEMS and (is_folder or path.suffix.lower() not in IMAGE_SUFFIXES)
    )
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_KINDS_SHOWN))
    return [f"{folder.name}: {kinds.total()} not read, as they are no images: {shown}"] if kinds else []


def pair_files(images: Path, masks: Mapping[str, Path]) -> dict[str, FilePair]:
    """The files of every stem of any folder, in order of stem.

    Args:
        images: folder of images.
        masks: folders of masks by name; none when only predictions are wanted.

    Raises:
        UserError: there is no image at all.
    """
    image_files = _images_by_stem(images)
    mask_files = {name: _images_by_stem(folder) for name, folder in masks.items()}
    if not image_files:
        suffixes = ", ".join(sorted({path.suffix or path.name for path in images.iterdir()})[:5]) or "nothing"
        raise UserError(
            f"{images} has no images (found {suffixes}); put {', '.join(sorted(IMAGE_SUFFIXES))} files there"
        )
    _refuse_outlines(masks, mask_files)
    pairs = {}
    for stem in sorted(image_files.keys() | set().union(*mask_files.values())):
        found_images = image_files.get(stem, [])
        found_masks = {name: stems[stem] for name, stems in mask_files.items() if stem in stems}
        problem = _pairing_problem(stem, found_images, found_masks, masks_expected=bool(masks))
        first = (found_images or next(iter(found_masks.values())))[0]
        pairs[stem] = FilePair(first, {name: found[0] for name, found in found_masks.items()}, problem)
    return pairs


def _refuse_outlines(masks: Mapping[str, Path], found: Mapping[str, Mapping[str, list[Path]]]) -> None:
    """Refuse folders of masks that hold outlines (COCO's JSON) in place of mask images."""
    outlines = [path for folder in masks.values() for path in folder.glob("*.json")]
    if outlines and not any(found.values()):
        raise UserError(
            f"{outlines[0].parent} has no mask images, but {outlines[0].name}: if it holds outlines in COCO's format, "
            "put it beside the images and make masks of it by medsam-exp prepare own"
        )


def _pairing_problem(
    stem: str, images: list[Path], masks: Mapping[str, list[Path]], *, masks_expected: bool
) -> str | None:
    kinds = {"images": images, **{f"{name} masks".strip(): found for name, found in masks.items()}}
    for kind, found in kinds.items():
        if len(found) > 1:
            return f"{stem} has {len(found)} {kind} ({', '.join(path.name for path in found)})"
    if not images:
        name, found = next(iter(masks.items()))
        return f"{stem} has a mask ({'/'.join(filter(None, (name, found[0].name)))}) but no image"
    if masks_expected and not masks:
        return f"{stem} has an image ({images[0].name}) but no mask"
    return None


_CHECK = TypeAdapter(PairCheck)
_VERSION = 1
"""Of what a check finds; raised when the code finds other things in the same files."""


def check_pairs(
    files: dict[str, FilePair], targets: Targets, remembered_in: Path | None = None
) -> dict[str, PairCheck]:
    """Decode every file and compare sizes, several files at a time.

    Args:
        files: image and masks by stem.
        targets: what is to be found in the masks.
        remembered_in: folder of artifacts in which checks are stored, so that files of the same sizes and times are not
            decoded again; None for none. Faults and patients' identities are not stored.

    Returns:
        What was found by stem; a fault is the check's `problem`, not an exception.
    """
    if remembered_in is None:
        return _checks(files, targets)
    with_files = {stem: pair for stem, pair in files.items() if not pair.problem}
    config = {"targets": [asdict(target) for target in targets.each], "listed": sorted(targets.listed or ())}
    key = stage_key("checked_files", _VERSION, {**config, "pillow": version("pillow")}, {}, {})
    states = {stem: _state(pair) for stem, pair in with_files.items()}
    stored = StageArtifacts(remembered_in, "checked_files", key, states)
    stored.mark_used()
    found = _checks({stem: pair for stem, pair in files.items() if pair.problem}, targets)
    with suppress(OSError):  # nothing may be written where others have stored
        for block in own_blocks(stored, list(states)):
            new = _checks({stem: files[stem] for stem in block}, targets)
            found |= new
            with stored.gathered():
                for stem, check in new.items():
                    if not check.problem and not check.patient:
                        stored.save(stem, {"check": _CHECK.dump_python(check, mode="json")})
    lacking = [stem for stem in stored.pending(list(states)) if stem not in found]
    found |= _checks({stem: files[stem] for stem in lacking}, targets)
    old = [stem for stem in states if stem not in found]
    try:
        infos = list(stored.infos(old))
    except LostRecordError:  # damaged, and set aside: those are checked again
        return check_pairs(files, targets, remembered_in)
    known = {stem: _CHECK.validate_python(info["check"]) for stem, info in zip(old, infos, strict=True)}
    return {stem: found.get(stem) or known[stem] for stem in files}


def _state(pair: FilePair) -> str:
    """Changes with the name, size and time of each of an image's files."""
    statuses = [(path, path.stat()) for path in (pair.image, *pair.masks.values())]
    files = [f"{path} {of.st_ino} {of.st_size} {of.st_mtime_ns} {of.st_ctime_ns}" for path, of in statuses]
    return text_digest(*files, *pair.masks)


def _checks(files: Mapping[str, FilePair], targets: Targets) -> dict[str, PairCheck]:
    return dict(zip(files, map_in_threads(lambda pair: _check(pair, targets), files.values()), strict=True))


def _check(pair: FilePair, targets: Targets) -> PairCheck:
    if pair.problem:
        return PairCheck(pair.problem)
    try:
        pixels = decode(pair.image)
        image = to_rgb(pixels, pair.image)
        refuse_elongated(image.shape[:2], pair.image)
        check = PairCheck(
            spacing_mm=pixels.spacing_mm,
            remarks=pixels.remarks,
            pixels=pixel_digest(image),
            patient=pixels.patient,
        )
        for folder, path in pair.masks.items():
            _check_mask(check, pair, path, folder, targets, pixels)
    except UserError as error:
        return PairCheck(str(error))
    return check


def _check_mask(
    check: PairCheck, pair: FilePair, path: Path, folder: str, targets: Targets, image: Pixels
) -> None:
    """Add what one of an image's masks shows."""
    pixels = decode(path)
    here = [target for target in targets.each if target.folder == folder]
    masks = [to_mask(pixels, path, target.values) for target in here]
    if image.orientation != pixels.orientation:
        raise UserError(f"{pair.image} and its mask have different orientation tags: save both upright")
    size, mask_size = image.values.shape[:2], masks[0][0].shape
    if size != mask_size:
        sizes = [f"{width} x {height}" for height, width in (size, mask_size)]
        raise UserError(f"{pair.image.stem} has an image of {sizes[0]} and a mask of {sizes[1]} pixels")
    if targets.listed is not None:
        refuse_unlisted_values(pixels, path, targets.listed)
    check.present += tuple(target for target, (mask, _) in zip(here, masks, strict=True) if mask.any())
    check.lossy |= any(lossy for _, lossy in masks)
    if targets.values is not None:
        check.values |= set(np.unique(label_values(pixels, path, targets.values)).tolist())
