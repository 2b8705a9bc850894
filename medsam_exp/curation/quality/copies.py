"""Which images are the same, pixel by pixel or nearly, and which groups that makes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from medsam_exp.curation.quality.facts import ImageFacts
from medsam_exp.curation.quality.items import Item
from medsam_exp.data.connected_components import chained
from medsam_exp.data.near_duplicates import near_pairs


@dataclass(frozen=True)
class Link:
    """Two images that show nearly the same; each stands for all that are pixel by pixel the same as it.

    Attributes:
        first: names of the images that are the same as the first.
        second: names of the images that are the same as the second.
        correlation: of their fine structure, up to 1.
        turned: how the second must be turned; "" where it need not be.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    correlation: float
    turned: str


@dataclass(frozen=True)
class Copies:
    """All copies of a dataset.

    Attributes:
        same: names of images that are pixel by pixel the same, at least two each.
        near: pairs of nearly the same images.
        searched: whether nearly the same images were looked for.
    """

    same: tuple[tuple[str, ...], ...]
    near: tuple[Link, ...]
    searched: bool = True

    def near_groups(self) -> list[list[Link]]:
        """Links that hang together."""
        touching = [pair for places in self._places().values() for pair in pairwise(places)]
        groups = chained(len(self.near), touching)
        return [[self.near[place] for place in group] for group in groups]

    def _places(self) -> dict[tuple[str, ...], list[int]]:
        places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, link in enumerate(self.near):
            places[link.first].append(place)
            places[link.second].append(place)
        return places


def find_copies(images: Mapping[str, ImageFacts], *, near: bool = True) -> Copies:
    """Find all copies.

    Args:
        images: that can be read, by name.
        near: whether to look for nearly the same images, too.
    """
    by_pixels: dict[str, list[str]] = defaultdict(list)
    for name in sorted(images):
        by_pixels[images[name].pixels].append(name)
    distinct = [tuple(names) for names in by_pixels.values()]
    same = tuple(names for names in distinct if len(names) > 1)
    if not near:
        return Copies(same, (), searched=False)
    first = [images[names[0]] for names in distinct]
    found = near_pairs([image.hashes for image in first], [image.thumbnail for image in first])
    links = (Link(distinct[a.first], distinct[a.second], a.correlation, a.turned) for a in found)
    return Copies(same, tuple(links))


def groups_of(items: Mapping[str, Item], copies: Copies) -> dict[str, str]:
    """What may not be on both sides of a split, as a group by name: copies, and images of one patient.

    A group is called after the patient, where its first image has one, else after its first image.
    """
    names = sorted(items)
    place = {name: number for number, name in enumerate(names)}
    links = [(place[group[0]], place[name]) for group in copies.same for name in group[1:]]
    links += [(place[link.first[0]], place[link.second[0]]) for link in copies.near]
    first_of: dict[str, int] = {}
    for name in names:
        if group := items[name].group:
            links.append((first_of.setdefault(group, place[name]), place[name]))
    found = {}
    for members in chained(len(names), links):
        first = names[members[0]]
        label = items[first].group or first
        found.update({names[member]: label for member in members})
    return found
