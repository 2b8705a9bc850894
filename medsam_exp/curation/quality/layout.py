"""Finds the items of a dataset, however it is arranged: prepared folders, CSV files of pairs, or an original download.

In a download of any depth, a mask is a file named like its image with _mask, _seg, _gt or _label after it (and a
number, where one image has several), or a file of the image's name in a folder beside the images whose name says mask,
label, annotation or ground truth. The class is the nearest folder above an image that is neither of these nor a split
nor called "images".
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from medsam_exp.curation.quality.facts import DatasetItem, DatasetListing
from medsam_exp.data.decoding import IMAGE_SUFFIXES
from medsam_exp.data.exclusion import read_exclusion
from medsam_exp.data.folder_files import pair_files
from medsam_exp.data.pair_table import read_pair_table
from medsam_exp.data.patients import INDEX, patient_in
from medsam_exp.data.sample_index import compile_pattern, read_rows, stem_of
from medsam_exp.data.tables import place_of, plain_column, read_table, value_of
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

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


def _raw(root: Path) -> DatasetListing:
    """All images below a folder with the masks that belong to them."""
    images: dict[Path, dict[str, list[Path]]] = {}
    # Each mask with the stem of its image, and its folder ("" beside the images).
    masks: list[tuple[Path, str, str]] = []
    for path in _image_files(root):
        folder = path.parent.name if path.parent != root else ""
        named = _MASK_STEM.match(_stem(path))
        if _MASK_FOLDER.search(folder) and not _TO_DO.search(folder):
            masks.append((path, named["of"] if named else _stem(path), folder))
        elif named:
            masks.append((path, named["of"], ""))
        else:
            images[path] = {}
    places: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in images:
        for above in (path.parent, path.parent.parent):
            places[above, _stem(path)].append(path)
    items = []
    for path, of, kind in masks:
        above = path.parent.parent if kind else path.parent
        if found := places.get((above, of)) or places.get((above, _stem(path))):
            images[found[0]].setdefault(kind, []).append(path)
        else:
            name = path.relative_to(root).as_posix()
            problem = f"{path.name} is a mask without an image"
            split, _ = _told(root, path)
            items.append(DatasetItem(name, _stem(path), split, masks={kind: (path,)}, problem=problem))
    for path, own in images.items():
        split, class_name = _told(root, path)
        items.append(
            DatasetItem(
                name=path.relative_to(root).with_suffix("").as_posix(),
                stem=_stem(path),
                split=split,
                image=path,
                masks={kind: tuple(files) for kind, files in own.items()},
                class_name=class_name,
                problem=f"{path.name} is an image without a mask" if masks and not own else None,
            )
        )
    return DatasetListing(root, "raw", tuple(sorted(items, key=lambda item: item.name)))


def _image_files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file():
            yield path


def _stem(path: Path) -> str:
    return normalize("NFC", path.stem)


def _told(root: Path, path: Path) -> tuple[str, str | None]:
    """Split and class by the folders between the root and a file, of which the nearest counts."""
    split, class_name = "", None
    for part in reversed(path.relative_to(root).parts[:-1]):
        if named := next((name for name, pattern in _SPLITS.items() if pattern.match(part)), ""):
            split = split or named
        elif class_name is None and not _IMAGE_FOLDER.match(part):
            class_name = part
    return split, class_name


def find_collection(
    root: Path,
    group: str | None = None,
    image_column: str = "filename",
    caption_column: str = "Caption",
) -> DatasetListing:
    """Find all items below a folder, or in a CSV file of pairs.

    Args:
        root: a folder with SPLIT_images and SPLIT_masks; or an original download of any depth; or a CSV file of
            image-caption pairs, or a folder of such files, one per split.
        group: regular expression whose match in a file's stem (its first bracket, where it has one) is the patient.
        image_column: of pairs, the column with the image's path.
        caption_column: of pairs, the column with the caption.

    Raises:
        UserError: there is nothing to look at, or the expression is none.
    """
    pattern = compile_pattern(group, "--group")
    root = root.expanduser()
    if not root.exists():
        raise UserError(f"{root} does not exist: give a folder of images and masks, or a CSV file of pairs")
    tables = _pair_tables(root, image_column, caption_column)
    if splits := _prepared_splits(root):
        found = _prepared(root, splits)
    elif tables:
        found = _pairs(root, tables, image_column, caption_column)
    else:
        found = _raw(root)
    if not any(item.image for item in found.items):
        raise UserError(f"{root} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): check the path")
    if pattern is None:
        return found
    groups = (patient_in(item.stem, pattern) or item.group for item in found.items)
    grouped = (replace(item, group=group) for item, group in zip(found.items, groups, strict=True))
    return replace(found, items=tuple(grouped))


def without(listing: DatasetListing, exclude: str | Sequence[str] | None) -> DatasetListing:
    """Leave out the images that `data.exclude` names.

    Args:
        listing: all images.
        exclude: names, or a file of them; None leaves nothing out.

    Raises:
        UserError: the list cannot be read.
    """
    splits = {item.split for item in listing.items}
    lists = {split: read_exclusion(exclude, listing.root, split) for split in splits}
    kept = (item for item in listing.items if item.stem not in lists[item.split].stems)
    return replace(listing, items=tuple(kept))


def _prepared_splits(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    folders = (path.name for path in sorted(root.iterdir()) if path.is_dir())
    return [
        name.removesuffix("_images") for name in folders if name.endswith("_images") and name != "_images"
    ]


def _prepared(root: Path, splits: Sequence[str]) -> DatasetListing:
    """ROOT/SPLIT_images with ROOT/SPLIT_masks, or with masks by class in folders below it, and perhaps index.csv."""
    items = [item for split in splits for item in _of_split(root, split)]
    told, remarks = _index(root / INDEX, {(item.split, item.stem) for item in items})
    labelled = [
        replace(item, class_name=value_of(row.get("class", "")) or None, group=value_of(row.get("group", "")))
        if (row := told.get((item.split, item.stem), told.get(("", item.stem))))
        else item
        for item in items
    ]
    return DatasetListing(root, "prepared", tuple(labelled), remarks)


def _of_split(root: Path, split: str) -> list[DatasetItem]:
    images, masks = root / f"{split}_images", root / f"{split}_masks"
    folders: dict[str, Path] = {}
    if masks.is_dir():
        inner = [path for path in sorted(masks.iterdir()) if path.is_dir()]
        folders = {path.name: path for path in inner} or {"": masks}
    if not any(path.suffix.lower() in IMAGE_SUFFIXES for path in images.iterdir()):
        return []
    return [
        DatasetItem(
            name=f"{split}/{stem}",
            stem=stem,
            split=split,
            image=pair.image if pair.image.parent == images else None,
            masks={kind: (path,) for kind, path in pair.masks.items()},
            problem=pair.problem,
        )
        for stem, pair in pair_files(images, folders).items()
    ]


def _index(
    path: Path, known: set[tuple[str, str]]
) -> tuple[dict[tuple[str, str], dict[str, str]], tuple[str, ...]]:
    """Rows of index.csv by (split, stem), split "" where it has no such column; and what in it fits no image."""
    if not path.is_file():
        return {}, ()
    try:
        rows = read_rows(path, ["name"], f"make {path.name} readable")
    except UserError as error:
        return {}, (str(error),)
    table: dict[tuple[str, str], dict[str, str]] = {}
    doubled = []
    for row in rows:
        text = {plain_column(key): value.strip() for key, value in row.items()}
        key = (text.get("split", ""), stem_of(text["name"]))
        if table.setdefault(key, text) != text:
            doubled.append("/".join(filter(None, key)))
    lacking = [f"{split}/{stem}" for split, stem in table if split and (split, stem) not in known]
    missing = [
        f"{split}/{stem}" for split, stem in sorted(known) if not {(split, stem), ("", stem)} & table.keys()
    ]
    remarks = (
        (doubled, f"{path.name} has {len(doubled)} rows that contradict an earlier one"),
        (lacking, f"{path.name} has {len(lacking)} rows without an image"),
        (missing, f"{len(missing)} images are not in {path.name}"),
    )
    return table, tuple(f"{said} ({first_few(names, 5)})" for names, said in remarks if names)


def _pair_tables(root: Path, image_column: str, caption_column: str) -> list[Path]:
    """CSV files of pairs: the one that is named, or those of a folder that have both columns by these very names."""
    columns = (image_column, caption_column)
    if root.is_file():
        table = read_table(root, "give a CSV file of pairs", columns)
        for column in columns:
            place_of(
                table.header, column, str(root), "name the columns with --image-column and --caption-column"
            )
        return [root]
    return [path for path in sorted(root.glob("*.csv")) if set(columns) <= _header(path, columns)]


def _header(path: Path, columns: Sequence[str]) -> set[str]:
    try:
        return set(read_table(path, "", columns).header)
    except UserError:
        return set()


def _pairs(root: Path, tables: Sequence[Path], image_column: str, caption_column: str) -> DatasetListing:
    items: list[DatasetItem] = []
    remarks: list[str] = []
    for table in tables:
        found = read_pair_table(table, image_column, caption_column, skip_faulty=True)
        remarks += found.skipped
        split = table.stem if len(tables) > 1 else ""
        items += [
            DatasetItem(f"{table.stem}/{image}", Path(image).stem, split, found.base / image)
            for image in sorted(found.images)
        ]
    return DatasetListing(root, "pairs", tuple(items), tuple(remarks))
