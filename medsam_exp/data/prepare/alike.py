"""Images that are the same or nearly so, by perceptual hash; they may not stand on two sides of a split.

The hash (pHash) is 256 bits of an image's coarse light and dark; among 330 breast ultrasound images, copies,
re-scans and neighbouring frames differed in up to 60 bits and unrelated images in 70 or more, so 64 is the bound.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.types import RGBImage, UserError

BITS_APART = 64
"""Of 256; what differs in no more than these is alike."""
_SIDE = 16
_ROWS = 256  # compared with all others at a time


def perceptual_hash(image: RGBImage) -> NDArray[np.bool_]:
    """(256,) bool hash of a (H, W, 3) image."""
    import imagehash  # slow to import

    return np.asarray(imagehash.phash(Image.fromarray(image), hash_size=_SIDE).hash, dtype=np.bool_).ravel()


def alike_groups(readers: Mapping[str, Callable[[], RGBImage]], skip_faulty: bool = False) -> dict[str, str]:
    """The group of every image that is like another one, by name; images that are like none are left out.

    What is like the same image is in one group, so a group can be longer than its closest pair. A group is called after
    its first member in the alphabet.

    Args:
        readers: give the pixels, by name.
        skip_faulty: leave out images that cannot be read.

    Raises:
        UserError: an image cannot be read.
    """
    names = sorted(readers)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        hashes = pool.map(lambda name: _hash(readers[name], skip_faulty), names)
        known = {name: found for name, found in zip(names, hashes, strict=True) if found is not None}
    return groups_of_hashes(known)


def _hash(read: Callable[[], RGBImage], skip_faulty: bool) -> NDArray[np.bool_] | None:
    try:
        return perceptual_hash(read())
    except UserError:
        if skip_faulty:
            return None
        raise


def groups_of_hashes(hashes: Mapping[str, NDArray[np.bool_]]) -> dict[str, str]:
    """`alike_groups` of (256,) bool hashes that are known already."""
    names = sorted(hashes)
    links: list[tuple[str, str]] = []
    bits = np.array([hashes[name] for name in names], dtype=np.float32).reshape(len(names), -1)
    for start in range(0, len(names), _ROWS):
        rows = bits[start : start + _ROWS]
        apart = rows.sum(1)[:, None] + bits.sum(1)[None] - 2 * rows @ bits.T
        near = zip(*np.nonzero(apart <= BITS_APART), strict=True)
        links += [(names[start + int(row)], names[int(other)]) for row, other in near]
    return groups_of_links(links)


def groups_of_links(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of every name that is linked to another one, directly or over others; called after its first member."""
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while (above := leaders.setdefault(name, name)) != name:
            name = above
        return name

    for one, other in links:
        first, second = sorted((leader(one), leader(other)))
        leaders[second] = first
    found = {name: leader(name) for name in sorted(leaders)}
    several = {lead for name, lead in found.items() if lead != name}
    return {name: lead for name, lead in found.items() if lead in several}
