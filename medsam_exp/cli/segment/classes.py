"""What is to be found: one or several texts, each of them a class, or a table of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.config.overrides import hydra_value
from medsam_exp.curation.prepare.layout import plain_name
from medsam_exp.data.tables import is_missing, plain_column, read_table
from medsam_exp.types import UserError

_CLASS, _TEXT = "class", "text"
_LONGEST = 40  # letters of a name that is made from a text
_MEND = "give with --texts a CSV file: columns class,text or filename,Caption"


@dataclass(frozen=True)
class AskedClass:
    """One class.

    Attributes:
        name: for folders and tables; "" where there is only one class.
        options: what a run needs to know of its text.
    """

    name: str
    options: tuple[str, ...]


def asked_classes(texts: Sequence[str], table: Path | None) -> list[AskedClass]:
    """The classes of a command line, in its order.

    Args:
        texts: one for each class; a class is named after its text.
        table: a CSV in place of them: with columns `class` and `text`, a row for each class; or a text for each image,
            as text=per_image reads it.

    Raises:
        UserError: there is no text, both are given, a text is empty, or two classes have the same name.
    """
    if bool(texts) == (table is not None):
        raise UserError(
            'say what to find: --text "a dark mass" (several times for several classes), or --texts FILE.csv'
        )
    if table is None:
        return _classes([(plain_name(text)[:_LONGEST].strip("_.-"), text) for text in texts])
    found = read_table(table, _MEND, [_CLASS, _TEXT]) if table.suffix.lower() != ".json" else None
    header = [plain_column(column) for column in found.header] if found else []
    if found is None or not {_CLASS, _TEXT} <= set(header):
        return [AskedClass("", ("text=per_image", f"text.path={hydra_value(str(table))}"))]
    name, text = header.index(_CLASS), header.index(_TEXT)
    return _classes([(plain_name(row[name]), row[text]) for _, row in found.sound_rows()])


def _classes(named: Sequence[tuple[str, str]]) -> list[AskedClass]:
    names = [name.casefold() for name, _ in named]
    for name, text in named:
        if is_missing(text):
            raise UserError("a text is empty: write what to find, such as 'a dark mass with ragged borders'")
        if names.count(name.casefold()) > 1:
            raise UserError(
                f"two classes would be called {name}: name them in a CSV with the columns class,text (--texts FILE.csv)"
            )
    alone = len(named) == 1
    return [
        AskedClass("" if alone else name, ("text=free", f"text.text={hydra_value(text.strip())}"))
        for name, text in named
    ]
