"""Finds the items of a dataset, however it is arranged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medsam_exp.curation.quality.items import Collection, Item
from medsam_exp.curation.quality.raw import raw_items
from medsam_exp.data.exclusion import read_exclusion
from medsam_exp.data.folder_files import pair_files
from medsam_exp.data.images import IMAGE_SUFFIXES
from medsam_exp.data.pair_table import TableOptions, read_pair_table
from medsam_exp.data.patients import INDEX, compiled, patient_in
from medsam_exp.data.sample_index import read_rows, stem_of
from medsam_exp.data.tables import is_missing, place_of, plain_column, read_table
from medsam_exp.types import UserError

_SHOWN = 5


def find_collection(
    root: Path,
    group: str | None = None,
    image_column: str = "filename",
    caption_column: str = "Caption",
) -> Collection:
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
    pattern = compiled(group, "--group")
    root = root.expanduser()
    if not root.exists():
        raise UserError(f"{root} does not exist: give a folder of images and masks, or a CSV file of pairs")
    tables = _pair_tables(root, image_column, caption_column)
    if splits := _prepared_splits(root):
        found = _prepared(root, splits)
    elif tables:
        found = _pairs(root, tables, image_column, caption_column)
    else:
        items, has_masks = raw_items(root)
        found = Collection(root, "raw", items, has_masks)
    if not any(item.image for item in found.items):
        raise UserError(f"{root} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): check the path")
    if pattern is None:
        return found
    grouped = (item.grouped(patient_in(item.stem, pattern) or item.group) for item in found.items)
    return replace(found, items=tuple(grouped))


def without(collection: Collection, exclude: str | Sequence[str] | None) -> Collection:
    """The collection without the images that `data.exclude` leaves out.

    Raises:
        UserError: the list cannot be read.
    """
    splits = {item.split for item in collection.items}
    lists = {split: read_exclusion(exclude, collection.root, split) for split in splits}
    kept = (item for item in collection.items if item.stem not in lists[item.split].stems)
    return replace(collection, items=tuple(kept))


def _prepared_splits(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    folders = (path.name for path in sorted(root.iterdir()) if path.is_dir())
    return [
        name.removesuffix("_images") for name in folders if name.endswith("_images") and name != "_images"
    ]


def _prepared(root: Path, splits: Sequence[str]) -> Collection:
    """ROOT/SPLIT_images with ROOT/SPLIT_masks, or with masks by class in folders below it, and perhaps index.csv."""
    has_masks = any((root / f"{split}_masks").is_dir() for split in splits)
    items = [item for split in splits for item in _of_split(root, split)]
    told, remarks = _index(root / INDEX, {(item.split, item.stem) for item in items})
    labelled = [
        replace(item, class_name=_known(row, "class") or None, group=_known(row, "group"))
        if (row := told.get((item.split, item.stem), told.get(("", item.stem))))
        else item
        for item in items
    ]
    return Collection(root, "prepared", tuple(labelled), has_masks, remarks)


def _of_split(root: Path, split: str) -> list[Item]:
    images, masks = root / f"{split}_images", root / f"{split}_masks"
    folders: dict[str, Path] = {}
    if masks.is_dir():
        inner = [path for path in sorted(masks.iterdir()) if path.is_dir()]
        folders = {path.name: path for path in inner} or {"": masks}
    if not any(path.suffix.lower() in IMAGE_SUFFIXES for path in images.iterdir()):
        return []
    items = []
    for stem, pair in pair_files(images, folders).items():
        has_image = pair.image.parent == images
        items.append(
            Item(
                name=f"{split}/{stem}",
                stem=stem,
                split=split,
                image=pair.image if has_image else None,
                masks={kind: (path,) for kind, path in pair.masks.items()},
                problem=pair.problem,
            )
        )
    return items


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
    remarks = []
    if doubled:
        remarks.append(
            f"{path.name} has {len(doubled)} rows that contradict an earlier one ({_some(doubled)})"
        )
    if lacking:
        remarks.append(f"{path.name} has {len(lacking)} rows without an image ({_some(lacking)})")
    if missing:
        remarks.append(f"{len(missing)} images are not in {path.name} ({_some(missing)})")
    return table, tuple(remarks)


def _known(row: Mapping[str, str], column: str) -> str:
    field = row.get(column, "")
    return "" if is_missing(field) else field


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


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


def _pairs(root: Path, tables: Sequence[Path], image_column: str, caption_column: str) -> Collection:
    items, remarks = [], []
    for table in tables:
        options = TableOptions(table, None, image_column, caption_column, None, None, 0, skip_faulty=True)
        found = read_pair_table(options)
        remarks += [note for note in found.notes if note.startswith("skipped: ")]
        for image_id, image in sorted(found.images.items()):
            path = found.base / image_id
            items.append(
                Item(
                    name=f"{table.stem}/{image_id}",
                    stem=Path(image_id).stem,
                    split=table.stem if len(tables) > 1 else "",
                    image=path,
                    caption=" | ".join(sorted(image.captions)),
                )
            )
    return Collection(root, "pairs", tuple(items), has_masks=False, remarks=tuple(remarks))
