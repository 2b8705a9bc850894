"""What measuring the files of one item told; JSON-able, so that it is measured once per content."""

from dataclasses import dataclass, field
from typing import Any

from medsam_exp.curation.quality.overlay import Overlay


@dataclass(frozen=True)
class ImageFacts:
    """Of an image file.

    Attributes:
        problem: why it cannot be read, in words; then nothing else is known.
        width: in pixels.
        height: in pixels.
        bits: that a stored value has: 8, 16, 32 or 64.
        lowest: stored value; of all channels.
        highest: stored value.
        lossy: the format may have altered values.
        pixels: digest of the decoded (H, W, 3) image, whatever the format.
        contrast: standard deviation of its gray values, of 255.
        coloured: share of pixels that are clearly no gray.
        black: share of pixels at 0.
        white: share of pixels at 250 or above.
        thumbnail: 64 x 64 gray values as base64.
        hashes: perceptual hashes (64 bits) of the image as it is, and turned and mirrored in the seven other ways.
        overlay: what is written over it.
    """

    problem: str | None = None
    width: int = 0
    height: int = 0
    bits: int = 8
    lowest: float = 0.0
    highest: float = 0.0
    lossy: bool = False
    pixels: str = ""
    contrast: float = 0.0
    coloured: float = 0.0
    black: float = 0.0
    white: float = 0.0
    thumbnail: str = ""
    hashes: tuple[int, ...] = ()
    overlay: Overlay = field(default_factory=Overlay)


@dataclass(frozen=True)
class MaskFacts:
    """Of a mask, which may have several files.

    Attributes:
        problem: why it cannot be used, in words; then nothing else is known.
        foreground: its pixels.
        share: of the image that it covers.
        lossy: its values were blurred and had to be thresholded.
        corners: how many of the image's four corners it covers.
        specks: connected parts of hardly any pixels beside a far larger one.
        pixels: digest of the (H, W) mask.
        thumbnail: 64 x 64 shares of coverage in 255ths as base64.
        outlined: its outline is drawn into the image.
    """

    problem: str | None = None
    foreground: int = 0
    share: float = 0.0
    lossy: bool = False
    corners: int = 0
    specks: int = 0
    pixels: str = ""
    thumbnail: str = ""
    outlined: bool = False


@dataclass(frozen=True)
class Facts:
    """Of an item: its image, and its masks by kind."""

    image: ImageFacts
    masks: dict[str, MaskFacts]


def from_json(content: dict[str, Any]) -> Facts:
    """The facts that `dataclasses.asdict` wrote."""
    image = dict(content["image"])
    overlay = image.pop("overlay")
    words = tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in overlay["words"])
    crosses = tuple((x, y) for x, y in overlay["crosses"])
    image["hashes"] = tuple(image["hashes"])
    masks = {kind: MaskFacts(**own) for kind, own in content["masks"].items()}
    return Facts(ImageFacts(**image, overlay=Overlay(words, crosses)), masks)
