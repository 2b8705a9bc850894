"""A dataset as the checks see it: images with masks, splits, classes and patients, and what measuring them told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from medsam_exp.curation.quality.burnt_in import Overlay


@dataclass(frozen=True)
class DatasetItem:
    """An image with what belongs to it.

    Its masks stand by kind ("" where there is one kind, else such as "lung masks"); several files of a kind are parts
    of one mask.
    """

    name: str  # unique in the dataset: "train/benign_1", or a path below the root
    stem: str  # the file's name without its suffix, by which image and mask belong together
    split: str = ""  # train, val, test, ...; "" where the dataset does not say
    image: Path | None = None  # its file; None where a mask has no image
    masks: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    class_name: str | None = None  # what it shows; None where the dataset does not say
    group: str = ""  # what may not be on both sides of a split, such as the patient; "" where unknown
    problem: str | None = None  # why its files do not belong together, in words


@dataclass(frozen=True)
class DatasetListing:
    """All items below a root."""

    root: Path
    form: str  # how they are arranged: "prepared" (SPLIT_images and SPLIT_masks), "raw" or "pairs"
    items: tuple[DatasetItem, ...]  # in the order of their names
    remarks: tuple[str, ...] = ()  # what of the dataset's own tables fits no file, one sentence each


@dataclass(frozen=True)
class ImageFacts:
    """Of an image file; of one that cannot be read the problem alone."""

    problem: str | None = None  # why it cannot be read, in words
    width: int = 0
    height: int = 0
    bits: int = 8  # that a stored value has: 8, 16, 32 or 64
    lowest: float = 0.0  # stored value, of all channels
    highest: float = 0.0
    lossy: bool = False  # the format may have altered values
    pixels: str = ""  # digest of the decoded (H, W, 3) image, whatever the format
    contrast: float = 0.0  # standard deviation of its gray values, of 255
    coloured: float = 0.0  # share of pixels that are clearly no gray
    black: float = 0.0  # share of pixels at 0
    white: float = 0.0  # share of pixels at 250 or above
    thumbnail: str = ""  # 64 x 64 gray values as base64
    # Perceptual hashes (64 bits): as it is, and turned and mirrored in the seven other ways.
    hashes: tuple[int, ...] = ()
    overlay: Overlay = field(default_factory=Overlay)  # what is written over it


@dataclass(frozen=True)
class MaskFacts:
    """Of a mask, which may have several files; of one that cannot be used the problem alone."""

    problem: str | None = None  # why it cannot be used, in words
    foreground: int = 0  # pixels
    share: float = 0.0  # of the image that it covers
    lossy: bool = False  # its values were blurred and had to be thresholded
    corners: int = 0  # of the image's four that it covers
    specks: int = 0  # connected parts of hardly any pixels beside a far larger one
    pixels: str = ""  # digest of the (H, W) mask
    thumbnail: str = ""  # 64 x 64 shares of coverage in 255ths as base64
    outlined: bool = False  # its outline is drawn into the image


@dataclass(frozen=True)
class Facts:
    """Of an item: its image, and its masks by kind."""

    image: ImageFacts
    masks: dict[str, MaskFacts]


@dataclass(frozen=True)
class Limits:
    """What counts as a finding where no single answer is right."""

    tiny_share: float = 0.0002  # of the image that a mask covers at least
    tiny_pixels: int = 16  # that a mask has at least
    aspect: float = 3.0  # longer over shorter side at most
    contrast: float = 4.0  # standard deviation of the gray values, of 255, at least
    same_mask: float = 0.9  # Dice of two masks of one image at least
    imbalance: float = 10.0  # largest over smallest class at most


@dataclass(frozen=True)
class MeasuredDataset:
    """A dataset with the facts about each item that has an image, by name."""

    listing: DatasetListing
    facts: Mapping[str, Facts]
    limits: Limits = Limits()

    @property
    def items(self) -> Sequence[DatasetItem]:
        """All of the listing."""
        return self.listing.items

    @cached_property
    def by_name(self) -> dict[str, DatasetItem]:
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
