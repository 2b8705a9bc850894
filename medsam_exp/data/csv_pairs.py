"""Image-text pairs from a CSV file with one row per image and caption."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from medsam_exp.data.pair_table import (
    CaptionedImage,
    PairTable,
    look_at_images,
    read_pair_table,
)
from medsam_exp.data.patients import clusters_of
from medsam_exp.data.verified_files import VerifiedFiles
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import RGBImage, UserError

Part = Literal["train", "validation", "all"]


class CsvPairs:
    """Images of a CSV file with every caption that the file has for them.

    Captions are cleaned after the paper: special characters removed, ends trimmed, short ones dropped. Which
    characters count as special is our choice (see `medsam_exp.data.captions`). Repeated rows count once.
    Ids are paths relative to `root`, in alphabetical order; nothing depends on the order of rows.

    An image's part follows from a hash of the seed and its group alone (of its id, where it has no group). So all
    rows of an image or a group stay together, new rows never move an old image to the other part, and the
    parts' sizes come near `train_share` without meeting it exactly.

    Every image of the file is decoded once at the start, so that faults show before any model loads.

    Args:
        file: CSV with a header line, in UTF-8 or UTF-16.
        root: folder that the images' paths start from; None for the CSV's folder. `locate_images` says what
            happens to absolute paths and to those that start elsewhere.
        image_column: column with the image's path, or its name without an ending; `medsam_exp.data.tables` says which
            others may stand in for `filename`.
        caption_column: column with the caption; likewise for `Caption`.
        separator: character between the fields; None recognises a comma, a semicolon or a tab.
        smallest_caption: characters that a caption must have after cleaning (paper: 20).
        part: which images: train, validation, or all.
        train_share: of the groups that go to train, in (0, 1) (paper: 0.85).
        group_column: column with what must stay together, such as the patient; None for the image alone.
        split_seed: chooses another division into parts.
        on_error: "raise" stops at faulty rows and images, "skip" leaves them out and lists them in `notes`.
        limit: use so many images of the part at most, always the same ones; only these are decoded at the start.

    Raises:
        UserError: the file is faulty, no row is left, or (with "raise") rows or images are unreadable; one error
            names them all.
    """

    def __init__(
        self,
        file: str,
        root: str | None = None,
        image_column: str = "filename",
        caption_column: str = "Caption",
        separator: str | None = None,
        smallest_caption: int = 20,
        part: Part = "train",
        train_share: float = 0.85,
        group_column: str | None = None,
        split_seed: int = 0,
        on_error: Literal["raise", "skip"] = "raise",
        limit: int | None = None,
    ) -> None:
        separator = "\t" if separator == "\\t" else separator
        _check_arguments(separator, smallest_caption, part, train_share, on_error, limit)
        table = read_pair_table(
            Path(file).expanduser(),
            image_column,
            caption_column,
            root=None if root is None else Path(root).expanduser(),
            group_column=group_column,
            separator=separator,
            smallest_caption=smallest_caption,
            skip_faulty=on_error == "skip",
        )
        whole = _part_ids(table.images, part, train_share, split_seed)
        wanted = whole if limit is None else _drawn(whole, limit, split_seed)
        self._pixels, faults = _looked_at(file, table, table.images if limit is None else wanted, on_error)
        self.ids = tuple(sorted(wanted - faults.keys()))
        if not self.ids:
            raise UserError(
                f"{file} leaves no image for {part} (of {len(table.images)}, {len(faults)} of them unreadable): "
                "change train_share or split_seed, or mend the images"
            )
        self._base, self._files = table.base, VerifiedFiles()
        self.patients = clusters_of({pair_id: table.images[pair_id].group or None for pair_id in self.ids})
        self._captions = {pair_id: tuple(sorted(table.images[pair_id].captions)) for pair_id in self.ids}
        skipped = [f"skipped: {faults[pair_id]}" for pair_id in sorted(wanted & faults.keys())]
        elsewhere = table.images.keys() - whole - faults.keys()
        self.notes = (*table.notes, *skipped, *self._count(part, table, elsewhere))

    def read_image(self, pair_id: str) -> RGBImage:
        """(H, W, 3) uint8 RGB of one image."""
        return self._files.image(self._base / pair_id)

    def captions(self, pair_id: str) -> tuple[str, ...]:
        """All cleaned captions of one image, in alphabetical order."""
        return self._captions[pair_id]

    def identity(self, pair_id: str) -> str:
        """Digest of the image's decoded pixels."""
        return self._pixels[pair_id]

    def digest(self, digests: FileDigests) -> str:
        """Hash of ids, captions, patients and the images' bytes; independent of the files' paths."""
        parts: list[str] = []
        for pair_id, captions in self._captions.items():
            parts += [
                pair_id,
                self._files.digest(self._base / pair_id, digests),
                str(len(captions)),
                *captions,
            ]
        return text_digest(*parts, *(self.patients or {}).values())  # in the order of ids

    def _count(self, part: Part, table: PairTable, elsewhere: Iterable[str]) -> list[str]:
        """What is left for this part, and which texts it shares with the other part."""
        mine = [caption for captions in self._captions.values() for caption in captions]
        notes = [
            f"{part}: {len(mine)} rows of {len(self.ids)} images left (the file has {len(table.images)})"
        ]
        others = {caption for pair_id in elsewhere for caption in table.images[pair_id].captions}
        if shared := len(others.intersection(mine)):
            notes.append(f"{shared} captions of {part} also describe an image outside of it")
        return notes


def _part_ids(images: dict[str, CaptionedImage], part: Part, train_share: float, seed: int) -> set[str]:
    """Ids of a part; each group falls to train with the probability `train_share`."""
    if part == "all":
        return set(images)

    def is_train(pair_id: str, group: str) -> bool:
        key = ("group", group) if group else ("image", pair_id)
        return derive_seed("part", seed, *key) < train_share * 2**63

    return {
        pair_id for pair_id, image in images.items() if is_train(pair_id, image.group) == (part == "train")
    }


def _drawn(ids: set[str], limit: int, seed: int) -> set[str]:
    """So many ids; a higher limit keeps those of a lower one."""
    return set(sorted(ids, key=lambda pair_id: derive_seed("limit", seed, pair_id))[:limit])


def _looked_at(
    file: str, table: PairTable, ids: Iterable[str], on_error: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of images and faults of unreadable ones by id; an error, where there may be none."""
    pixels, faults = look_at_images({pair_id: table.base / pair_id for pair_id in sorted(ids)})
    if faults and on_error == "raise":
        shown = f"{len(faults)} of {len(pixels) + len(faults)} images cannot be read"
        raise UserError(
            f"{file}: {shown} ({first_few(faults.values(), separator='; ')}): mend them, set root to the folder "
            "that the paths start from, or leave them out with on_error=skip"
        )
    return pixels, faults


def _check_arguments(
    separator: str | None,
    smallest_caption: int,
    part: str,
    train_share: float,
    on_error: str,
    limit: int | None,
) -> None:
    if separator is not None and (len(separator) != 1 or separator in '"\r\n '):
        raise UserError(
            f"pairs' separator is {separator!r}: give one character, or null, which recognises comma, semicolon and tab"
        )
    if smallest_caption < 0:
        raise UserError(f"pairs' smallest_caption is {smallest_caption}: give 0 or more characters")
    if part not in {"train", "validation", "all"}:
        raise UserError(f"pairs' part is {part!r}: choose train, validation or all")
    if not 0 < train_share < 1:
        raise UserError(f"pairs' train_share is {train_share}: give a share between 0 and 1, or set part=all")
    if on_error not in {"raise", "skip"}:
        raise UserError(f"pairs' on_error is {on_error!r}: choose raise or skip")
    if limit is not None and limit < 1:
        raise UserError(f"pairs' limit is {limit}: give at least 1, or null for all images")
