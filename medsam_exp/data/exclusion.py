"""Which images of a folder are left out on purpose: a list of names, or a file of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.data.folder_files import FilePair
from medsam_exp.data.sample_index import stem_of
from medsam_exp.data.tables import place_of, read_table, text_of_file
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Exclusion:
    """Images that are left out of a split.

    Attributes:
        stems: of the images.
        of_this_split: those of them that are said to be in this split, so that each should be found in it.
    """

    stems: frozenset[str] = frozenset()
    of_this_split: frozenset[str] = frozenset()

    def without(self, files: Mapping[str, FilePair], images: Path) -> tuple[dict[str, FilePair], list[str]]:
        """The files that stay, and what was left out, one sentence each.

        Args:
            files: by stem.
            images: their folder, for the error's text.

        Raises:
            UserError: nothing stays.
        """
        kept = {stem: pair for stem, pair in files.items() if stem not in self.stems}
        if not kept:
            raise UserError(
                f"data.exclude leaves none of the {len(files)} images in {images}: shorten the list"
            )
        left_out = sorted(files.keys() & self.stems)
        unknown = sorted(self.of_this_split - files.keys())
        notes = []
        if left_out:
            notes.append(
                f"{len(left_out)} of {len(files)} images left out by data.exclude: {first_few(left_out, 5)}"
            )
        if unknown:
            notes.append(
                f"data.exclude names {len(unknown)} images that are not there: {first_few(unknown, 5)}"
            )
        return kept, notes


def read_exclusion(given: str | Sequence[str] | None, root: Path, split: str) -> Exclusion:
    """Read which images of a split are left out.

    Args:
        given: names of images (with or without suffix); or a CSV file with a column name and, where names occur in
            several splits, a column split; or a text file with a name in each line; None leaves nothing out. A
            file's path is relative to the current folder, else to `root`.
        root: of the dataset.
        split: whose images are meant.

    Raises:
        UserError: the file cannot be read, or has no column name.
    """
    if given is None:
        return Exclusion()
    if not isinstance(given, str):
        stems = frozenset(stem_of(str(name)) for name in given)
        return Exclusion(stems, stems)
    path = _found(given, root)
    rows = [(stem_of(name), own) for name, own in _rows(path)]
    stems = frozenset(stem for stem, own in rows if own in ("", split))
    return Exclusion(stems, frozenset(stem for stem, own in rows if own == split))


def _found(given: str, root: Path) -> Path:
    places = (Path(given).expanduser(), root / given)
    for path in places:
        if path.is_file():
            return path
    raise UserError(
        f"data.exclude is {given!r}, which is no file ({' or '.join(map(str, dict.fromkeys(places)))}); give a CSV or "
        "text file of names, or names as in data.exclude=[NAME]"
    )


def _rows(path: Path) -> list[tuple[str, str]]:
    """Name and split ("" for any) of every line."""
    if path.suffix.lower() != ".csv":
        lines = text_of_file(path, "data.exclude").splitlines()
        return [(line.strip(), "") for line in lines if line.strip()]
    table = read_table(path, "set data.exclude to a CSV file", ["name"])
    mend = "rename the one with file names to name"
    place = place_of(table.header, "name", f"data.exclude: {path}", mend)
    split = table.header.index("split") if "split" in table.header else None
    rows = table.sound_rows()
    named = ((row[place].strip(), "" if split is None else row[split].strip()) for _, row in rows)
    return [(name, split) for name, split in named if name]
