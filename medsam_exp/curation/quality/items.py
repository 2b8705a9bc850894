"""What a dataset consists of, before anything is decoded: images with their masks, splits, classes and patients."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """An image with what belongs to it.

    Attributes:
        name: unique in the dataset: "train/benign_1", or a path below the root.
        stem: the file's name without its suffix, by which image and mask belong together.
        split: train, val, test, ...; "" where the dataset does not say.
        image: its file; None where a mask has no image.
        masks: its mask files by kind ("" where there is one kind, else such as "lung masks"); several files of a kind
            are parts of one mask.
        class_name: what it shows; None where the dataset does not say.
        group: whatever may not be on both sides of a split, such as the patient; "" where unknown.
        caption: its text, of pairs.
        problem: why its files do not belong together, in words.
    """

    name: str
    stem: str
    split: str = ""
    image: Path | None = None
    masks: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    class_name: str | None = None
    group: str = ""
    caption: str = ""
    problem: str | None = None

    def grouped(self, group: str) -> "Item":
        """The same item, of this group."""
        return replace(self, group=group)


@dataclass(frozen=True)
class Collection:
    """All items below a root.

    Attributes:
        root: where they lie.
        form: how they are arranged: "prepared" (SPLIT_images and SPLIT_masks), "raw" or "pairs".
        items: in the order of their names.
        has_masks: whether masks belong to the dataset at all.
        remarks: what of the dataset's own tables fits no file, one sentence each.
        sources: digests of files that are no images, such as index.csv.
    """

    root: Path
    form: str
    items: tuple[Item, ...]
    has_masks: bool
    remarks: tuple[str, ...] = ()
