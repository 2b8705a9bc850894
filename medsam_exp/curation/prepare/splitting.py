"""Which images train, which validate, which test: a group never spans two splits.

A group is what must stay together: the slices of a patient, or near-duplicates. These are recognised as the data check
does (`medsam_exp.data.near_duplicates`), but with a lower threshold: keeping two different images together costs
nothing, splitting two frames of one lesion makes scores too high.

How much goes where: shares (0.8) of groups by a hash of (seed, group), so that new images never move old ones, for
data that grow; numbers of images (113), met exactly where groups allow it, each class in its proportion, groups being
taken in the order of their hash; or per cent (80%), from which numbers are worked out, for small data, and data that
stay.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from PIL import Image

from medsam_exp.curation.prepare.layout import SPLITS, PreparedImage
from medsam_exp.data.connected_components import connected_components
from medsam_exp.data.near_duplicates import (
    find_near_duplicates,
    make_thumbnail,
    pack_thumbnail,
    perceptual_hashes,
)
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.types import RGBImage, UserError

_REST = math.inf  # images: all that are left
_Key = tuple[str, str]  # a group, or an image where it has none
_AMOUNT = re.compile(r"(?P<split>\w+)=(?P<amount>rest|\d+(?:\.\d*)?%?|\.\d+)")


def divided(cases: Iterable[PreparedImage], amounts: str, seed: int) -> list[PreparedImage]:
    """Give every image its split; images of one group get the same.

    Args:
        cases: in any order, which changes no image's split.
        amounts: per cent as `train=80%,val=10%,test=10%`, of which the largest split takes what rounding leaves and
            the others at least one image; shares as `train=0.8,val=0.1,test=0.1`; or numbers of images as
            `train=rest,val=50,test=113`.
        seed: chooses another division.

    Raises:
        UserError: the amounts are not understood; there are fewer images than the numbers ask for, or more than they
            have room for; or shares leave a split empty.
    """
    groups: dict[_Key, list[PreparedImage]] = defaultdict(list)
    for case in cases:
        groups[("group", case.group) if case.group else ("image", case.key or case.name)].append(case)
    unit, wanted = _parsed(amounts)
    if unit == "shares":
        sides = {key: _by_share(key, wanted, seed) for key in groups}
        if empty := [split for split, share in wanted.items() if share and split not in sides.values()]:
            raise UserError(
                f"none of {len(groups)} images or groups falls to {empty[0]} by its share: give per cent, as "
                "train=80%,val=10%,test=10%, numbers of images, or another seed"
            )
    else:
        if unit == "per cent":
            total = sum(map(len, groups.values()))
            largest = max(wanted, key=wanted.__getitem__)
            numbers = {split: max(1, round(total * share / 100)) for split, share in wanted.items() if share}
            wanted = {**numbers, largest: _REST}
        sides = _by_count(groups, wanted, seed)
    return [replace(case, split=sides[key]) for key, found in groups.items() for case in found]


def _parsed(text: str) -> tuple[str, dict[str, float]]:
    """The unit (per cent, shares or images), and how much of it each split gets."""
    found = [_AMOUNT.fullmatch(part.strip()) for part in text.split(",")]
    given = {match["split"]: match["amount"] for match in found if match}
    if len(given) < len(found) or set(given) - set(SPLITS):
        raise UserError(
            f"the split {text!r} is not understood: write per cent, as train=80%,val=10%,test=10%, shares, as "
            "train=0.8,val=0.1,test=0.1, or numbers of images, as train=rest,val=50,test=113"
        )
    written = list(given.values())
    whole_numbers = [int(amount) for amount in written if amount.isdigit()]
    if "rest" in written or (len(whole_numbers) == len(written) and sum(whole_numbers) != 1):
        if written.count("rest") > 1:
            raise UserError(f"the split {text!r} has more than one rest: keep one")
        if len(whole_numbers) + written.count("rest") < len(written):
            raise UserError(
                f"the split {text!r} mixes numbers of images with shares or per cent: use one of the two"
            )
        return "images", {split: _REST if n == "rest" else int(n) for split, n in given.items()}
    in_percent = sum(amount.endswith("%") for amount in written)
    if 0 < in_percent < len(written):
        raise UserError(f"the split {text!r} mixes shares and per cent: use one of the two")
    amounts = {split: float(amount.rstrip("%")) for split, amount in given.items()}
    total, whole = sum(amounts.values()), 100 if in_percent else 1
    if abs(total - whole) > 1e-6 * whole:
        raise UserError(f"the amounts of {text!r} add up to {total:g}: let them add up to {whole}")
    return "per cent" if in_percent else "shares", amounts


def _by_share(key: _Key, shares: Mapping[str, float], seed: int) -> str:
    place, reached = derive_seed("split", seed, *key) / 2**63, 0.0
    given = [split for split in SPLITS if shares.get(split)]
    for split in given:
        reached += shares[split]
        if place < reached:
            return split
    return given[-1]  # the shares add up to 1 but for rounding


def _by_count(
    groups: Mapping[_Key, list[PreparedImage]], counts: Mapping[str, float], seed: int
) -> dict[_Key, str]:
    """Fill the splits of a given number one after the other, the smallest first; the last one takes what is left."""
    total = sum(map(len, groups.values()))
    rest = next((split for split in counts if counts[split] == _REST), None)
    wanted = sorted((int(n), split) for split, n in counts.items() if n != _REST)
    needed = sum(n for n, _ in wanted)
    if needed > total or (rest is None and needed < total):
        raise UserError(
            f"the split asks for {needed} images, there are {total}: change the numbers, or give one split the rest"
        )
    waiting = sorted(groups, key=lambda key: (derive_seed("split", seed, *key), key))
    classes = Counter(case.class_name for found in groups.values() for case in found)
    sides: dict[_Key, str] = {}
    for n, split in wanted if rest else wanted[:-1]:
        taken = _taken({key: groups[key] for key in waiting if key not in sides}, n, _quotas(classes, n))
        sides.update(dict.fromkeys(taken, split))
    last = rest or wanted[-1][1]
    return {key: sides.get(key, last) for key in groups}


def _quotas(classes: Counter[str], n: int) -> Counter[str]:
    """`n` images in the proportion of the classes, whole numbers by largest remainder."""
    total = sum(classes.values())
    exact = {name: n * count / total for name, count in classes.items()}
    quotas = Counter({name: int(share) for name, share in exact.items()})
    missing = n - quotas.total()
    for name in sorted(exact, key=lambda name: (quotas[name] - exact[name], name))[:missing]:
        quotas[name] += 1
    return quotas


def _taken(groups: Mapping[_Key, list[PreparedImage]], n: int, quotas: Counter[str]) -> list[_Key]:
    """Groups in their order as long as they fit their classes' quotas, then as long as they fit at all."""
    taken: list[_Key] = []
    left = quotas.copy()
    for by_class in (True, False):
        for key, found in groups.items():
            own = Counter(case.class_name for case in found)
            fits = own <= left if by_class else len(found) <= n
            if key not in taken and fits and len(found) <= n:
                taken.append(key)
                left -= own
                n -= len(found)
    return taken


LEAST_OF_A_GROUP = 0.5
"""Correlation of the fine structure from which on images stay together; below that of the data check, so that it finds
no copies across the splits made here."""


def near_duplicate_groups(
    readers: Mapping[str, Callable[[], RGBImage]], skip_faulty: bool = False
) -> dict[str, str]:
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
    found = map_in_threads(lambda name: _seen(readers[name], skip_faulty), names)
    seen = {name: each for name, each in zip(names, found, strict=True) if each is not None}
    hashes, thumbnails = [each[0] for each in seen.values()], [each[1] for each in seen.values()]
    pairs = find_near_duplicates(hashes, thumbnails, LEAST_OF_A_GROUP)
    known, same = list(seen), dict[str, str]()
    links = [(same.setdefault(thumbnail, name), name) for name, (_, thumbnail) in seen.items()]
    return groups_of_links([*links, *((known[pair.first], known[pair.second]) for pair in pairs)])


def _seen(read: Callable[[], RGBImage], skip_faulty: bool) -> tuple[tuple[int, ...], str] | None:
    """Hashes and packed thumbnail of an image; None of one that cannot be read."""
    try:
        gray = np.asarray(Image.fromarray(read()).convert("L"))
    except UserError:
        if skip_faulty:
            return None
        raise
    thumbnail = make_thumbnail(gray)
    return perceptual_hashes(thumbnail), pack_thumbnail(thumbnail)


def groups_of_links(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of every name that is linked to another one, directly or over others; called after its first member."""
    given = list(links)
    names = sorted({name for link in given for name in link})
    groups = connected_components(names, given)
    return {member: group[0] for group in groups if len(group) > 1 for member in group}
