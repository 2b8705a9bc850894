"""Finds, pairs and checks the files of one split of a folder."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.data.images import IMAGE_SUFFIXES, decode, to_rgb
from medsam_exp.data.masks import to_mask
from medsam_exp.types import UserError


@dataclass(frozen=True)
class FilePair:
    """The files of one sample.

    Attributes:
        image: the image file (the mask's where there is no image).
        mask: the mask file; None where the split has no masks.
        problem: why the files make no sample, in words; None when they do.
    """

    image: Path
    mask: Path | None
    problem: str | None = None


@dataclass
class Finding:
    """What decoding one pair told.

    Attributes:
        problem: why the sample cannot be used, in words; None when it can.
        lossy: the mask's values were blurred and had to be thresholded.
        empty: the mask has no foreground.
    """

    problem: str | None = None
    lossy: bool = False
    empty: bool = False


def find_folders(root: Path, split: str) -> tuple[Path, Path | None]:
    """The folders of a split's images and masks; None for the masks where there is no such folder.

    Raises:
        UserError: the root or the images' folder is missing; says the expected layout.
    """
    images, masks = root / f"{split}_images", root / f"{split}_masks"
    if not root.is_dir():
        raise UserError(
            f"data.root: {root} is not a folder; expected {images} and {masks} with files of equal names"
        )
    if not images.is_dir():
        there = ", ".join(sorted(folder.name for folder in root.iterdir() if folder.is_dir())) or "no folders"
        raise UserError(
            f"data.split: {root} has no folder {images.name} (it has {there}); "
            f"expected {images.name} and, for scores, {masks.name}"
        )
    return images, masks if masks.is_dir() else None


def _images_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Image files of a folder by stem; hidden files and files that are no images do not count."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    images: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.setdefault(path.stem, []).append(path)
    return images


def pair_files(images: Path, masks: Path | None, limit: int | None) -> dict[str, FilePair]:
    """The files of every id of either folder, in order of id.

    Args:
        images: folder of images.
        masks: folder of masks; None when only predictions are wanted.
        limit: keep the first so many ids; None for all.

    Raises:
        UserError: there is no image at all.
    """
    image_files = _images_by_stem(images)
    mask_files = _images_by_stem(masks) if masks else {}
    if not image_files:
        suffixes = ", ".join(sorted({path.suffix or path.name for path in images.iterdir()})[:5]) or "nothing"
        raise UserError(
            f"{images} has no images (found {suffixes}); put {', '.join(sorted(IMAGE_SUFFIXES))} files there"
        )
    pairs = {}
    for sample_id in sorted(image_files.keys() | mask_files.keys())[:limit]:
        found_images, found_masks = image_files.get(sample_id, []), mask_files.get(sample_id, [])
        problem = _pairing_problem(sample_id, found_images, found_masks, masks is not None)
        first = (found_images or found_masks)[0]
        pairs[sample_id] = FilePair(first, found_masks[0] if found_masks else None, problem)
    return pairs


def _pairing_problem(
    sample_id: str, images: list[Path], masks: list[Path], masks_expected: bool
) -> str | None:
    for kind, found in (("images", images), ("masks", masks)):
        if len(found) > 1:
            return f"{sample_id} has {len(found)} {kind} ({', '.join(path.name for path in found)})"
    if not images:
        return f"{sample_id} has a mask ({masks[0].name}) but no image"
    if masks_expected and not masks:
        return f"{sample_id} has an image ({images[0].name}) but no mask"
    return None


def check_pairs(files: dict[str, FilePair], mask_values: Sequence[int] | None) -> dict[str, Finding]:
    """Decode every file and compare sizes, several at a time; faults are findings, not exceptions."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        findings = pool.map(lambda pair: _check(pair, mask_values), files.values())
        return dict(zip(files, findings, strict=True))


def _check(pair: FilePair, mask_values: Sequence[int] | None) -> Finding:
    if pair.problem:
        return Finding(pair.problem)
    try:
        pixels = decode(pair.image)
        size = to_rgb(pixels, pair.image).shape[:2]
        if pair.mask is None:
            return Finding()
        mask_pixels = decode(pair.mask)
        mask, lossy = to_mask(mask_pixels, pair.mask, mask_values)
    except UserError as error:
        return Finding(str(error))
    if pixels.orientation != mask_pixels.orientation:
        return Finding(f"{pair.image} and its mask have different orientation tags: save both upright")
    if size != mask.shape:
        sizes = [f"{width} x {height}" for height, width in (size, mask.shape)]
        return Finding(f"{pair.image.stem} has an image of {sizes[0]} and a mask of {sizes[1]} pixels")
    return Finding(lossy=lossy, empty=not mask.any())
