"""Images that are the same or nearly so; they may not stand on two sides of a split.

Recognised as the data check does (`medsam_exp.data.near_duplicates`), but with a lower threshold: keeping two different
images together costs nothing, splitting two frames of one lesion makes scores too high.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from medsam_exp.data.connected_components import chained
from medsam_exp.data.near_duplicates import hashes_of, near_pairs, packed, thumbnail_of
from medsam_exp.types import RGBImage, UserError

LEAST_OF_A_GROUP = 0.5
"""Correlation of the fine structure from which on images stay together; below that of the data check, so that it finds
no copies across the splits made here."""

_Seen = tuple[tuple[int, ...], str]
"""Hashes and packed thumbnail of an image."""


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
        found = pool.map(lambda name: _seen(readers[name], skip_faulty), names)
        seen = {name: each for name, each in zip(names, found, strict=True) if each is not None}
    known = list(seen)
    hashes, thumbnails = [each[0] for each in seen.values()], [each[1] for each in seen.values()]
    pairs = near_pairs(hashes, thumbnails, LEAST_OF_A_GROUP)
    same: dict[str, str] = {}
    links = [(same.setdefault(thumbnail, name), name) for name, (_, thumbnail) in seen.items()]
    return groups_of_links([*links, *((known[pair.first], known[pair.second]) for pair in pairs)])


def _seen(read: Callable[[], RGBImage], skip_faulty: bool) -> _Seen | None:
    try:
        gray = np.asarray(Image.fromarray(read()).convert("L"))
    except UserError:
        if skip_faulty:
            return None
        raise
    thumbnail = thumbnail_of(gray)
    return hashes_of(thumbnail), packed(thumbnail)


def groups_of_links(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of every name that is linked to another one, directly or over others; called after its first member."""
    given = list(links)
    names = sorted({name for link in given for name in link})
    place = {name: number for number, name in enumerate(names)}
    groups = chained(len(names), [(place[one], place[other]) for one, other in given])
    return {names[member]: names[group[0]] for group in groups if len(group) > 1 for member in group}
