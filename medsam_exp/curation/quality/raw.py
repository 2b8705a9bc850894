"""The items of an original download: folders of any depth, masks recognised by their own or their folder's name.

A mask is a file named like its image with _mask, _seg, _gt or _label after it (and a number, where one image has
several), or a file of the image's name in a folder beside the images whose name says mask, label, annotation or ground
truth. The class is the nearest folder above an image that is neither of these nor a split nor called "images".
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from medsam_exp.curation.quality.items import Item
from medsam_exp.data.images import IMAGE_SUFFIXES

_MASK_FOLDER = re.compile(
    r"(?<![a-z])(masks?|labels?|annotations?|segmentations?|ground[ _-]?truths?|gt)(?![a-z])", re.I
)
_TO_DO = re.compile(r"(^|[ _-])(to|for|no|non|not|un|without)[ _-]", re.I)  # scans_to_label holds scans
_MASK_STEM = re.compile(r"^(?P<of>.+?)[ _-](mask|segmentation|seg|gt|label)([ _-]?\d+)?$", re.I)
_IMAGE_FOLDER = re.compile(r"^(images?|imgs?|scans?|pictures?|original|data|png|jpe?g|tiff?)$", re.I)
_SPLITS = {
    "train": re.compile(r"^(train|training)$", re.I),
    "val": re.compile(r"^(val|valid|validation|dev)$", re.I),
    "test": re.compile(r"^(test|testing)$", re.I),
}


def raw_items(root: Path) -> tuple[tuple[Item, ...], bool]:
    """All images below a folder with the masks that belong to them; and whether there are masks at all."""
    images, inline, elsewhere = _sorted_files(root)
    places: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in images:
        for folder in (path.parent, path.parent.parent):
            places[folder, _stem(path)].append(path)
    masks: dict[Path, dict[str, list[Path]]] = {path: {} for path in images}
    lonely = []
    for path, of, kind in (*inline, *elsewhere):
        folder = path.parent if kind == "" else path.parent.parent
        found = places.get((folder, of)) or places.get((folder, _stem(path)))
        if found:
            masks[found[0]].setdefault(kind, []).append(path)
        else:
            lonely.append((path, kind))
    has_masks = bool(inline or elsewhere)
    items = [_item(root, path, masks[path], has_masks=has_masks) for path in images]
    items += [
        Item(
            name=path.relative_to(root).as_posix(),
            stem=_stem(path),
            split=_split(root, path),
            masks={kind: (path,)},
            problem=f"{path.name} is a mask without an image",
        )
        for path, kind in lonely
    ]
    return tuple(sorted(items, key=lambda item: item.name)), has_masks


def _item(root: Path, path: Path, masks: dict[str, list[Path]], *, has_masks: bool) -> Item:
    problem = f"{path.name} is an image without a mask" if has_masks and not masks else None
    return Item(
        name=path.relative_to(root).with_suffix("").as_posix(),
        stem=_stem(path),
        split=_split(root, path),
        image=path,
        masks={kind: tuple(files) for kind, files in masks.items()},
        class_name=_class(root, path),
        problem=problem,
    )


def _stem(path: Path) -> str:
    return normalize("NFC", path.stem)


def _sorted_files(
    root: Path,
) -> tuple[list[Path], list[tuple[Path, str, str]], list[tuple[Path, str, str]]]:
    """Images; masks beside them as (file, stem of its image, ""); masks in folders of their own, with its name."""
    images, inline, elsewhere = [], [], []
    for path in _image_files(root):
        folder = path.parent.name if path.parent != root else ""
        named = _MASK_STEM.match(_stem(path))
        if _MASK_FOLDER.search(folder) and not _TO_DO.search(folder):
            elsewhere.append((path, named["of"] if named else _stem(path), folder))
        elif named:
            inline.append((path, named["of"], ""))
        else:
            images.append(path)
    return images, inline, elsewhere


def _image_files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file():
            yield path


def _parts(root: Path, path: Path) -> list[str]:
    """Folders between the root and a file, the nearest first."""
    return list(path.relative_to(root).parts[:-1])[::-1]


def _split(root: Path, path: Path) -> str:
    for part in _parts(root, path):
        for split, pattern in _SPLITS.items():
            if pattern.match(part):
                return split
    return ""


def _class(root: Path, path: Path) -> str | None:
    for part in _parts(root, path):
        if not _IMAGE_FOLDER.match(part) and not any(split.match(part) for split in _SPLITS.values()):
            return part
    return None
