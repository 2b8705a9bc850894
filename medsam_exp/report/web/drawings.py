"""Small pictures for the image browser: each image once, and what each run found in it as outlines over it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.report.web.render import LARGEST, as_json, data_uri, render
from medsam_exp.report.web.simplify import kept_points
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.recent import Recent
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.pipeline import mask_stages, stage_colour, stage_title
from medsam_exp.types import Mask, RGBImage, SaliencyMap, UserError

_FEW = 200
_LARGE, _SMALL, _QUALITY = 384, 224, 62
"""Pixels of a thumbnail's longer side for few and for many images; WebP."""
_MAP_SIDE, _MAP_QUALITY = 48, 60  # a saliency map is smooth
_ROUGHNESS = 0.003  # of the longer side; an outline is this close to its mask's border

_remembered: Recent[str] = Recent(most=2000)
"""Parts of drawings by what they show, some kB each: runs of a sweep have many in common, and its page has all."""

_Drawn = TypeVar("_Drawn")
Stored = Mapping[str, Mapping[str, StageArtifacts]]
"""What runs stored, by stage and key; runs that share a key share it here too."""


class Drawing(TypedDict):
    """All that the browser shows of one image.

    Attributes:
        image: `source`, the thumbnail as a data URI; `width` and `height` of the original; `truth`, the outline of the
            true mask, None where none is read.
        layers: stage -> key -> outline of a mask, or data URI of a saliency map.
        prompts: key of sam_mask -> boxes and points, in pixels.
    """

    image: dict[str, Any]
    layers: dict[str, dict[str, str]]
    prompts: dict[str, Any]


def drawn_stages() -> tuple[str, ...]:
    """Stages whose maps and masks are drawn, in the order of the panels."""
    return ("saliency", *mask_stages())


def thumbnail_side(count: int) -> int:
    """Pixels of the longer side of each thumbnail of so many images."""
    return _LARGE if count <= _FEW else _SMALL


@dataclass
class Drawings:
    """What the browser shows.

    Attributes:
        names: of the images, in the order in which they were added.
        images: `image` of their drawings, by name.
        layers: stage -> key -> name -> layer.
        prompts: key of sam_mask -> name -> prompts.
        remarks: what could not be shown, one sentence each.
        size: characters of all drawings, about.
    """

    names: dict[str, None] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    layers: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    prompts: dict[str, dict[str, Any]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    size: int = 0
    _shown: set[str] = field(default_factory=set)

    @property
    def content(self) -> dict[str, Any]:
        """Everything that the browser's script reads, JSON-able."""
        return {
            "images": self.images,
            "layers": self.layers,
            "prompts": self.prompts,
            "panels": self.panels,
        }

    @property
    def panels(self) -> list[dict[str, str]]:
        """What stands side by side for each image, in order: name, label, and of masks the stage's short name."""
        panels = [{"name": "image", "label": "Image"}]
        for stage in drawn_stages():
            if stage == "sam_mask" and "prompts" in self._shown:
                panels.append({"name": "prompts", "label": "Prompts", "colour": "#F0E442"})
            if stage == "saliency" and stage in self._shown:
                panels.append({"name": stage, "label": "Saliency map"})
            elif stage in self._shown:
                short = mask_stages()[stage]
                colour = stage_colour(short)
                panels.append({"name": stage, "label": stage_title(short), "stage": short, "colour": colour})
        if "truth" in self._shown:
            panels.append({"name": "truth", "label": "Ground truth", "colour": "#FFFFFF"})
        return panels

    def renamed(self, name: Callable[[str], str]) -> "Drawings":
        """The same with another name for each image."""

        def of(by_name: Mapping[str, _Drawn]) -> dict[str, _Drawn]:
            return {name(own): drawn for own, drawn in by_name.items()}

        layers = {stage: {key: of(own) for key, own in keys.items()} for stage, keys in self.layers.items()}
        prompts = {key: of(own) for key, own in self.prompts.items()}
        return replace(self, names=of(self.names), images=of(self.images), layers=layers, prompts=prompts)

    def add(self, name: str, drawing: Drawing) -> None:
        """Add one image."""
        self.names[name] = None
        self.images[name] = drawing["image"]
        self.size += len(name) + len(drawing["image"]["source"]) + len(drawing["image"]["truth"] or "")
        self._shown |= {"truth"} if drawing["image"]["truth"] is not None else set()
        for stage, by_key in drawing["layers"].items():
            self._shown.add(stage)
            for key, layer in by_key.items():
                self.layers.setdefault(stage, {}).setdefault(key, {})[name] = layer
                self.size += len(layer) + len(name) + 6
        for key, prompts in drawing["prompts"].items():
            self._shown.add("prompts")
            self.prompts.setdefault(key, {})[name] = prompts
            self.size += len(str(prompts))

    def take(self, names: Sequence[str]) -> dict[str, Any]:
        """`images`, `layers` and `prompts` of some images, as in `content`; they are not held here any more."""

        def of(by_name: dict[str, _Drawn]) -> dict[str, _Drawn]:
            return {name: by_name.pop(name) for name in names if name in by_name}

        layers = {stage: {key: of(own) for key, own in keys.items()} for stage, keys in self.layers.items()}
        prompts = {key: of(own) for key, own in self.prompts.items()}
        return {"images": of(self.images), "layers": layers, "prompts": prompts}


def draw_image(sample_id: str, image: RGBImage, truth: Mask | None, stored: Stored, side: int) -> Drawing:
    """Draw one image with all that was found in it.

    Args:
        sample_id: its id.
        image: (H, W, 3), original frame.
        truth: (H, W), None where none is read.
        stored: what runs found.
        side: pixels of the thumbnail's longer side.
    """
    height, width = image.shape[:2]
    border = None if truth is None else _once(outline, truth)
    source = _once(partial(_thumbnail, side), image)
    drawing = Drawing(
        image={"source": source, "width": width, "height": height, "truth": border}, layers={}, prompts={}
    )
    for stage, by_key in stored.items():
        for key, artifacts in by_key.items():
            try:
                drawn = _drawn(stage, artifacts, sample_id)
                prompts = artifacts.info(sample_id)["prompts"] if stage == "sam_mask" else {}
            except (KeyError, UserError):
                continue
            drawing["layers"].setdefault(stage, {})[key] = drawn
            if any(prompts.values()):
                drawing["prompts"][key] = prompts
    return drawing


def draw(
    sample_ids: Sequence[str],
    read: Callable[[str], tuple[RGBImage, Mask | None]],
    stored: Stored,
    budget: int,
) -> Drawings:
    """Draw images, the most telling first, until they take as much room as they may.

    Args:
        sample_ids: of the images.
        read: gives an image, (H, W, 3), and its true mask, None where none is read.
        stored: what runs found.
        budget: characters of all drawings together.
    """
    found, side = Drawings(), thumbnail_side(len(sample_ids))
    for sample_id in sample_ids:
        found.add(sample_id, draw_image(sample_id, *read(sample_id), stored, side))
        if found.size > budget:
            break
    if len(found.names) < len(sample_ids):
        found.remarks.append(f"{len(found.names)} of {len(sample_ids)} images are shown")
    return found


def write_with_drawings(
    path: Path, template: Path, content: Mapping[str, Any], draw: Callable[[int], Drawings] | None
) -> None:
    """Write a self-contained page, whose drawings take the room that the rest of it leaves.

    Args:
        path: of the page.
        template: its file.
        content: what it needs besides the drawings.
        draw: makes drawings of at most so many characters; None leaves them out.
    """

    def filled(drawings: Drawings) -> str:
        return render(template, **content, drawings=drawings, drawings_json=as_json(drawings.content))

    drawings = draw(LARGEST - len(filled(Drawings()))) if draw else Drawings()
    write_atomically(path, filled(drawings).encode(), durable=False)


def outline(mask: Mask) -> str:
    """The border of an (H, W) mask as an SVG path in pixels, 0 at the image's left and upper edge; "" when empty."""
    from skimage.measure import find_contours  # slow to import, and pictures are kept

    ys, xs = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(ys):
        return ""
    top, left = int(ys[0]), int(xs[0])
    part = mask[top : ys[-1] + 1, left : xs[-1] + 1]
    rounded = 1 if max(mask.shape) < 600 else None
    borders = find_contours(np.pad(part, 1).astype(np.float32), 0.5)
    lengths = np.array([len(border) for border in borders])
    kept = kept_points(np.concatenate(borders), lengths, _ROUGHNESS * max(mask.shape))
    lines = []
    for border, stays in zip(borders, np.split(kept, np.cumsum(lengths)[:-1]), strict=True):
        simple = border[stays] - 0.5  # the padding's pixel, and half a pixel to its edge
        points = " ".join(
            f"{round(float(x) + left, rounded):g} {round(float(y) + top, rounded):g}" for y, x in simple
        )
        if len(simple) > 2:
            lines.append(f"M{points}z")
    return "".join(lines)


def _drawn(stage: str, artifacts: StageArtifacts, sample_id: str) -> str:
    if stage == "saliency":
        return _once(_saliency, read_map(artifacts, sample_id))
    return _once(outline, artifacts.mask(sample_id))


def _once(make: Callable[[Any], str], array: NDArray[Any]) -> str:
    """What is made of an array, remembered by its content."""
    how = (make.func, *make.args) if isinstance(make, partial) else make
    content = hashlib.sha256(array.tobytes()).digest()
    return _remembered.of((how, array.shape, array.dtype.str, content), lambda: make(array))


def _thumbnail(side: int, image: RGBImage) -> str:
    return _webp(Image.fromarray(image), side, _QUALITY)


def _saliency(saliency_map: SaliencyMap) -> str:
    from matplotlib import colormaps  # slow to import, and pictures are kept

    from medsam_exp.report.figures.panels import COLOUR_MAP

    size = _size(saliency_map.shape[::-1], _MAP_SIDE)
    small = np.asarray(Image.fromarray(saliency_map).resize(size, Image.Resampling.BOX))
    coloured = colormaps[COLOUR_MAP](np.clip(small, 0, 1))[..., :3] * 255
    return _webp(Image.fromarray(coloured.round().astype(np.uint8)), _MAP_SIDE, _MAP_QUALITY)


def _webp(picture: Image.Image, side: int, quality: int) -> str:
    small = picture.resize(_size(picture.size, side), Image.Resampling.LANCZOS)
    # Method 2 takes half the time of 4, which is usual, for 8 % more bytes.
    return data_uri(small, "webp", quality=quality, method=2)


def _size(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """(width, height) whose longer side is at most `side`."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
