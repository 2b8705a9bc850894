"""Images, masks and tables of a download, read by the same rules as everywhere else."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from medsam_exp.curation.prepare.source import Source
from medsam_exp.data.images import read_image
from medsam_exp.data.masks import read_mask
from medsam_exp.types import Mask, RGBImage, UserError


def image_of(source: Source, name: str) -> RGBImage:
    """(H, W, 3) uint8 pixels of an image file.

    Raises:
        UserError: it cannot be read.
    """
    with source.file(name) as path:
        return read_image(path)


def mask_of(source: Source, names: Sequence[str]) -> Mask:
    """(H, W) bool: what any of the mask files shows.

    Raises:
        UserError: one cannot be read, or their sizes differ.
    """
    masks = []
    for name in names:
        with source.file(name) as path:
            masks.append(read_mask(path)[0])
    if len({mask.shape for mask in masks}) > 1:
        raise UserError(f"{source.shown}: {', '.join(names)} have different sizes: mend one of them")
    return np.logical_or.reduce(masks)


def text_of(source: Source, name: str) -> str:
    """A text file in UTF-8, with or without a byte-order mark; other bytes become the sign for unknown letters."""
    return source.read(name).decode("utf-8-sig", errors="replace")


def matches(source: Source, pattern: str) -> dict[str, re.Match[str]]:
    """Files whose whole name, or what follows a folder in it, looks like a pattern; upper or lower case.

    Args:
        source: a download, which may lie some folders deeper than its publishers show it.
        pattern: regular expression of the name from some folder on.
    """
    compiled = re.compile(rf"(?:.*/)?{pattern}", re.IGNORECASE)
    return {name: match for name in source.names if (match := compiled.fullmatch(name))}


def nothing_found(source: Source, expected: str) -> UserError:
    """What to say where a part of a download is missing."""
    shown = ", ".join(source.names[:3]) + (", ..." if len(source.names) > 3 else "")
    return UserError(
        f"{source.shown} has no {expected} (it has {shown}): give what was downloaded, as it came"
    )


def pair_of(source: Source, image: str, masks: Sequence[str]) -> tuple[RGBImage, Mask]:
    """An image, and what any of its masks shows.

    Raises:
        UserError: one cannot be read.
    """
    return image_of(source, image), mask_of(source, masks)


def empty_ones(masks: Mapping[str, Callable[[], Mask]]) -> set[str]:
    """Names of masks without a pixel; those that cannot be read do not count, as writing will name them.

    Args:
        masks: what reads each, by name.
    """

    def is_empty(read: Callable[[], Mask]) -> bool:
        try:
            return not read().any()
        except UserError:
            return False

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        found = zip(masks, pool.map(is_empty, masks.values()), strict=True)
        return {name for name, empty in found if empty}
