"""Everything that was measured about a dataset, for the checks to look at."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from medsam_exp.curation.quality.facts import Facts, ImageFacts, MaskFacts
from medsam_exp.curation.quality.items import Collection, Item
from medsam_exp.curation.quality.store import FactStore


@dataclass(frozen=True)
class Limits:
    """What counts as a finding where no single answer is right.

    Attributes:
        tiny_share: of the image that a mask covers at least.
        tiny_pixels: that a mask has at least.
        aspect: longer over shorter side at most.
        contrast: standard deviation of the gray values, of 255, at least.
        same_mask: Dice of two masks of one image at least.
        imbalance: largest over smallest class at most.
    """

    tiny_share: float = 0.0002
    tiny_pixels: int = 16
    aspect: float = 3.0
    contrast: float = 4.0
    same_mask: float = 0.9
    imbalance: float = 10.0


@dataclass(frozen=True)
class Survey:
    """A dataset with the facts about each item.

    Attributes:
        collection: what there is.
        facts: by name; of items with an image.
        limits: what counts as a finding.
    """

    collection: Collection
    facts: Mapping[str, Facts]
    limits: Limits = Limits()

    @property
    def items(self) -> Sequence[Item]:
        """All items, in the order of their names."""
        return self.collection.items

    @cached_property
    def by_name(self) -> dict[str, Item]:
        """Items by name."""
        return {item.name: item for item in self.items}

    @cached_property
    def images(self) -> dict[str, ImageFacts]:
        """Of images that can be read, by name."""
        return {name: facts.image for name, facts in self.facts.items() if facts.image.problem is None}

    @cached_property
    def masks(self) -> dict[tuple[str, str], MaskFacts]:
        """Of masks that can be read, by name and kind."""
        return {
            (name, kind): mask
            for name, facts in self.facts.items()
            for kind, mask in facts.masks.items()
            if mask.problem is None
        }


def survey(
    collection: Collection, store: FactStore, limits: Limits, step: Callable[[int], None] = lambda _: None
) -> Survey:
    """Measure all items, several at a time.

    Args:
        collection: what there is.
        store: knows what was measured before.
        limits: what counts as a finding.
        step: is told of each item that is done.
    """

    def of(item: Item) -> Facts:
        found = store.of(item)
        step(1)
        return found

    with_image = [item for item in collection.items if item.image is not None]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        found = dict(zip((item.name for item in with_image), pool.map(of, with_image), strict=True))
    return Survey(collection, found, limits)
