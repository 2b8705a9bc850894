"""Decodes the files of an item once and notes everything that the checks ask for."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from medsam_exp.curation.quality.facts import Facts, ImageFacts, MaskFacts
from medsam_exp.curation.quality.items import Item
from medsam_exp.curation.quality.outline import outline_is_drawn
from medsam_exp.curation.quality.overlay import find_overlay
from medsam_exp.data.images import decode, to_rgb
from medsam_exp.data.masks import to_mask
from medsam_exp.data.near_duplicates import hashes_of, packed, thumbnail_of
from medsam_exp.data.pixels import Pixels, pixel_digest
from medsam_exp.types import Mask, RGBImage, UserError

VERSION = 6
"""Of what is measured; another one measures everything anew."""

_CLEARLY_COLOURED = 40  # of 255: between a pixel's strongest and weakest channel; JPEG alone makes fewer
_WHITE = 250  # of 255: counts as the highest value
_SPECK, _SPECK_SHARE = 8, 0.002  # pixels; and of the largest part


def measure(item: Item, mask_values: Collection[int] | None) -> Facts:
    """Decode an item's image and masks; faults are facts, not exceptions.

    Args:
        item: with an image.
        mask_values: values that count as foreground in masks of class labels; None for two-valued masks.
    """
    assert item.image is not None
    try:
        pixels = decode(item.image)
        image = to_rgb(pixels, item.image)
    except UserError as error:
        return Facts(ImageFacts(problem=str(error)), {})
    masks = {kind: _mask_facts(files, mask_values, pixels, image) for kind, files in item.masks.items()}
    return Facts(_image_facts(pixels, image), masks)


def _image_facts(pixels: Pixels, image: RGBImage) -> ImageFacts:
    height, width = image.shape[:2]
    gray = np.asarray(Image.fromarray(image).convert("L"))
    chroma = image.max(axis=-1) - image.min(axis=-1) if pixels.values.ndim == 3 else np.zeros(1, np.uint8)
    thumbnail = thumbnail_of(gray)
    finite = pixels.values[np.isfinite(pixels.values)]
    return ImageFacts(
        width=width,
        height=height,
        bits=8 * pixels.values.dtype.itemsize,
        lowest=float(finite.min()),
        highest=float(finite.max()),
        lossy=pixels.lossy,
        pixels=pixel_digest(image),
        contrast=float(gray.std()),
        coloured=float((chroma > _CLEARLY_COLOURED).mean()),
        black=float((gray == 0).mean()),
        white=float((gray >= _WHITE).mean()),
        thumbnail=packed(thumbnail),
        hashes=hashes_of(thumbnail),
        overlay=find_overlay(gray),
    )


def _mask_facts(
    files: Sequence[Path], mask_values: Collection[int] | None, pixels: Pixels, image: RGBImage
) -> MaskFacts:
    try:
        mask, lossy = _union(files, mask_values, pixels, image.shape[:2])
    except UserError as error:
        return MaskFacts(problem=str(error))
    return MaskFacts(
        foreground=int(mask.sum()),
        share=float(mask.mean()),
        lossy=lossy,
        corners=int(mask[[0, 0, -1, -1], [0, -1, 0, -1]].sum()),
        specks=_specks(mask),
        pixels=pixel_digest(mask),
        thumbnail=packed(thumbnail_of(mask.astype(np.uint8) * 255)),
        outlined=outline_is_drawn(image, mask),
    )


def _union(
    files: Sequence[Path], mask_values: Collection[int] | None, image: Pixels, size: tuple[int, ...]
) -> tuple[Mask, bool]:
    """All files of a mask as one, and whether one was blurred.

    Raises:
        UserError: a file cannot be read as a mask of this image.
    """
    union, any_lossy = np.zeros(size, dtype=bool), False
    for path in files:
        pixels = decode(path)
        mask, lossy = to_mask(pixels, path, mask_values)
        if mask.shape != size:
            sizes = [f"{width} x {height}" for height, width in (size, mask.shape)]
            raise UserError(f"the image has {sizes[0]} and the mask {path.name} {sizes[1]} pixels")
        if pixels.orientation != image.orientation:
            raise UserError(f"the image and its mask {path.name} have different orientation tags")
        union |= mask
        any_lossy = any_lossy or lossy or pixels.lossy
    return union, any_lossy


def _specks(mask: Mask) -> int:
    """Parts that are hardly there, beside one that is."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return 0
    sizes = np.bincount(labels.ravel())[1:]
    return int((sizes <= min(_SPECK, _SPECK_SHARE * sizes.max())).sum())
