"""Texts from a JSON or CSV file that maps file names to sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from medsam_exp.data.sample_index import stem_of
from medsam_exp.data.tables import is_missing, place_of, read_table, text_of_file
from medsam_exp.runtime.wording import first_few
from medsam_exp.text.json_file import parsed_json
from medsam_exp.types import Sample, UserError

_MEND = "set text.path (text.source.path with text=windows) to a CSV or JSON file"


class PerImage:
    """A sentence, or several, for each image.

    JSON: {"busi_1.png": "a sentence"} or {"busi_1": ["a sentence", "another"]}. CSV: one line per sentence.
    Images are named by file name or stem; the embeddings of several sentences are averaged.

    Args:
        path: .json or .csv file.
        name_column: CSV column with the file name or stem; `medsam_exp.data.tables` says which others may stand in.
        text_column: CSV column with the sentence; likewise.
        uses_class_labels: whether whoever wrote the file knew the true classes.

    Raises:
        UserError: the file is missing, is neither JSON nor CSV of this form, holds an empty text, or
            names one image in two ways.
    """

    def __init__(
        self,
        path: str,
        name_column: str = "filename",
        text_column: str = "Caption",
        uses_class_labels: bool = True,
    ) -> None:
        self.uses_class_labels = uses_class_labels
        self.tells = (
            "the file's author chose each text by what its image truly shows" if uses_class_labels else ""
        )
        self._path = Path(path).expanduser()
        self._texts: dict[str, tuple[str, ...]] = {}
        names: dict[str, str] = {}
        for name, text in _entries(self._path, name_column, text_column):
            if is_missing(text):
                said = f"the text {text.strip()!r}" if text.strip() else "an empty text"
                raise UserError(f"{self._path} has {said} for {name}: write one or remove the entry")
            stem = stem_of(name)
            if names.setdefault(stem, name) != name:
                raise UserError(f"{self._path} names {stem} as {names[stem]} and as {name}: keep one of them")
            self._texts[stem] = (*self._texts.get(stem, ()), text.strip())

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """Texts of every sample by its id; entries of other images are ignored.

        Raises:
            UserError: a sample is not in the file.
        """
        missing = [sample.id for sample in samples if sample.id not in self._texts]
        if missing:
            shown = first_few(missing)
            raise UserError(
                f"{self._path} has no text for {len(missing)} of {len(samples)} samples ({shown}): "
                "add them by file name or stem"
            )
        return {sample.id: self._texts[sample.id] for sample in samples}


def _entries(path: Path, name_column: str, text_column: str) -> Iterator[tuple[str, str]]:
    """(name, text) pairs of a file, in its order."""
    suffix = path.suffix.lower()
    if suffix not in {".json", ".csv", ".tsv", ".xls", ".xlsx"}:  # the last two are refused with advice
        raise UserError(f"text.path: {path} is neither .json nor .csv: give one of them")
    return _json_entries(path) if suffix == ".json" else _csv_entries(path, name_column, text_column)


def _json_entries(path: Path) -> Iterator[tuple[str, str]]:
    table = parsed_json(text_of_file(path, "text.path"), str(path))
    if not isinstance(table, dict):
        raise UserError(f'{path} is no JSON object: write {{"file name": "sentence"}}')
    for name, given in table.items():
        texts = given if isinstance(given, list) else [given]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise UserError(f"{path} has no sentence for {name}: give a string or a list of strings")
        yield from ((name, text) for text in texts)


def _csv_entries(path: Path, name_column: str, text_column: str) -> Iterator[tuple[str, str]]:
    table = read_table(path, _MEND, (name_column, text_column))
    mend = "set text.name_column and text.text_column"
    name, text = (place_of(table.header, column, str(path), mend) for column in (name_column, text_column))
    yield from ((row[name], row[text]) for _, row in table.sound_rows())
