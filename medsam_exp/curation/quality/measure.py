"""Decodes the files of each item once and stores what the checks ask for by the content of the files."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import scipy
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from medsam_exp.curation.quality.burnt_in import find_overlay, outline_is_drawn
from medsam_exp.curation.quality.facts import (
    DatasetItem,
    DatasetListing,
    Facts,
    ImageFacts,
    Limits,
    MaskFacts,
    MeasuredDataset,
)
from medsam_exp.data.decoding import decode, to_rgb
from medsam_exp.data.masks import to_mask
from medsam_exp.data.near_duplicates import make_thumbnail, pack_thumbnail, perceptual_hashes
from medsam_exp.data.pixels import Pixels, pixel_digest
from medsam_exp.runtime.digests import FileDigests, sealed, text_digest, unsealed, write_atomically
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.types import Mask, RGBImage, UserError

VERSION = 6
"""Of what is measured; another one measures everything anew."""

_FACTS = TypeAdapter(Facts)
_CLEARLY_COLOURED = 40  # of 255: between a pixel's strongest and weakest channel; JPEG alone makes fewer
_WHITE = 250  # of 255: counts as the highest value
_SPECK, _SPECK_SHARE = 8, 0.002  # pixels; and of the largest part


def _measured(item: DatasetItem, mask_values: Collection[int] | None) -> Facts:
    """Decode an item's image and masks; faults are facts, not exceptions."""
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
    thumbnail = make_thumbnail(gray)
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
        thumbnail=pack_thumbnail(thumbnail),
        hashes=perceptual_hashes(thumbnail),
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
        thumbnail=pack_thumbnail(make_thumbnail(mask.astype(np.uint8) * 255)),
        outlined=outline_is_drawn(image, mask),
    )


def _union(
    files: Sequence[Path], mask_values: Collection[int] | None, image: Pixels, size: tuple[int, ...]
) -> tuple[Mask, bool]:
    """All files of a mask as one, and whether one was blurred."""
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
    labels, count = scipy.ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return 0
    sizes = np.bincount(labels.ravel())[1:]
    return int((sizes <= min(_SPECK, _SPECK_SHARE * sizes.max())).sum())


class FactStore:
    """Measures what is not known yet.

    Args:
        folder: where facts are kept; None keeps none.
        digests: content hashes of files.
        mask_values: foreground in masks of class labels; None for two-valued masks.
    """

    def __init__(
        self, folder: Path | None, digests: FileDigests, mask_values: Collection[int] | None = None
    ) -> None:
        self._folder, self._digests, self._mask_values = folder, digests, mask_values
        self.measured = 0

    def of(self, item: DatasetItem) -> Facts:
        """The facts of an item that has an image."""
        path = self._path(item)
        if path is not None:
            with suppress(ValidationError):  # a file that is damaged, or not there, is measured anew
                return _FACTS.validate_python(unsealed(path))
        facts = _measured(item, self._mask_values)
        self.measured += 1
        problems = [facts.image.problem, *(mask.problem for mask in facts.masks.values())]
        if path is not None and not any(problems):  # they name paths
            write_atomically(path, sealed(asdict(facts)), durable=False)
        return facts

    def _path(self, item: DatasetItem) -> Path | None:
        if self._folder is None or item.image is None:
            return None
        try:
            parts = [f"version {VERSION}", str(self._mask_values), self._digests.of(item.image)]
            for kind, files in sorted(item.masks.items()):
                parts += [f"kind {kind}", *(self._digests.of(path) for path in files)]
        except OSError:  # it cannot be read; measuring says so
            return None
        digest = text_digest(*parts)
        return self._folder / digest[:2] / f"{digest}.json"


def measure_dataset(
    listing: DatasetListing, store: FactStore, limits: Limits, step: Callable[[int], None] = lambda _: None
) -> MeasuredDataset:
    """Measure all items, several at a time.

    Args:
        listing: what there is.
        store: knows what was measured before.
        limits: what counts as a finding.
        step: is told of each item that is done.
    """
    with_image = {item.name: item for item in listing.items if item.image is not None}
    found = {}
    for name, facts in zip(with_image, map_in_threads(store.of, with_image.values()), strict=True):
        found[name] = facts
        step(1)
    return MeasuredDataset(listing, found, limits)
