"""Annotations in COCO's format (https://cocodataset.org/#format-data): outlines and run lengths as label images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.runtime.foreign import parsed_json
from medsam_exp.runtime.limits import refuse_long_text
from medsam_exp.types import UserError

_LARGEST_LABEL = 255


@dataclass(frozen=True)
class CocoImage:
    """Annotations of one image.

    Attributes:
        path: the file of annotations.
        name: of the image's file, as it is written there; with /.
        size: (H, W) that the polygons refer to; None where the file does not give it.
        shapes: label and COCO's `segmentation` of each object.
    """

    path: Path
    name: str
    size: tuple[int, int] | None
    shapes: list[tuple[int, Any]] = field(default_factory=list)

    def labels(self, size: tuple[int, int]) -> NDArray[np.int64]:
        """(H, W) the label of each pixel, 0 background; where objects overlap, the highest label.

        A pixel belongs to an outline that its centre lies in; outlines count from the corner of the first pixel.

        Args:
            size: (H, W) of the image.

        Raises:
            UserError: the image has another size, or an object makes no sense.
        """
        if self.size is not None and self.size != size:
            raise UserError(
                f"{self.path} says that {self.name} has {self.size[1]} x {self.size[0]} pixels, it has {size[1]} x "
                f"{size[0]}: give the images that were annotated"
            )
        found = np.zeros(size, np.int64)
        for label, shape in self.shapes:
            try:
                inside = _run_lengths(shape, size) if isinstance(shape, Mapping) else _outlines(shape, size)
            except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
                raise UserError(
                    f"{self.path} has an object of {self.name} that makes no sense ({error}): export it again"
                ) from error
            found[inside] = np.maximum(found[inside], label)
        return found


@dataclass(frozen=True)
class Coco:
    """A file of annotations.

    Attributes:
        images: what it says of each.
        names: of the labels, which are the categories' numbers, or their order where these do not fit into a mask.
    """

    images: tuple[CocoImage, ...]
    names: dict[int, str]


def read_coco(path: Path) -> Coco | None:
    """The annotations in a JSON file; None of a file that holds none.

    Raises:
        UserError: they name objects by boxes only, or refer to images or categories that are not listed.
    """
    content = _content(path)
    if content is None:
        return None
    try:
        return _coco(path, content)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} has damaged annotations ({error!r}): export them again") from error


def _content(path: Path) -> dict[str, Any] | None:
    """Parsed content of a COCO file; None of any other file."""
    try:
        refuse_long_text(path)
        content = parsed_json(path.read_text(encoding="utf-8-sig"), path)
    except (UserError, OSError, ValueError):
        return None
    lists = ("images", "annotations", "categories")
    is_coco = isinstance(content, dict) and all(isinstance(content.get(key), list) for key in lists)
    return content if is_coco else None


def _coco(path: Path, content: Mapping[str, Any]) -> Coco:
    categories = {int(item["id"]): str(item.get("name") or "") for item in content["categories"]}
    fits = all(0 < number <= _LARGEST_LABEL for number in categories)
    labels = {number: number if fits else n for n, number in enumerate(categories, start=1)}
    images = {item["id"]: _image(path, item) for item in content["images"]}
    for item in content["annotations"]:
        if not item.get("segmentation"):
            raise UserError(
                f"{path} has objects without an outline (boxes only?), of which no mask can be made: export them as "
                "polygons or run lengths"
            )
        images[item["image_id"]].shapes.append((labels[int(item["category_id"])], item["segmentation"]))
    return Coco(tuple(images.values()), {labels[number]: name for number, name in categories.items() if name})


def _image(path: Path, item: Mapping[str, Any]) -> CocoImage:
    size = (int(item["height"]), int(item["width"])) if item.get("height") and item.get("width") else None
    if size is not None and min(size) < 1:
        raise ValueError(f"{item['file_name']} has {size[1]} x {size[0]} pixels")
    return CocoImage(path, str(item["file_name"]).replace("\\", "/"), size)


def _outlines(shape: Sequence[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    from skimage.draw import polygon

    found = np.zeros(size, bool)
    for outline in shape:
        points = np.array(outline, np.float64).reshape(-1, 2)
        if len(points) < 3 or not np.isfinite(points).all():
            raise ValueError(f"an outline has {len(points)} points")
        found[polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, size)] = True
    return found


def _run_lengths(shape: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Runs of background and object in turn, down the columns."""
    counts = shape["counts"]
    runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    if tuple(shape["size"]) != size or runs.min() < 0 or runs.sum() != size[0] * size[1]:
        raise ValueError(f"its runs do not fill {size[1]} x {size[0]} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[::-1]).T


def _unpacked(text: str) -> list[int]:
    """Runs from COCO's compressed text: 5 bits a letter; from the fourth run on, differences to the last but one."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64:
            raise ValueError(f"its runs hold {letter!r}")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
