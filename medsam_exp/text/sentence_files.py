"""Reads lists of sentences: the package's own by name, a JSON file, or lists in a Python file.

JSON: {"generic": ["a sentence", ...], "subtypes": {"benign": {"name": "benign tumor", "aliases": ["b"],
"sentences": [...]}}}, or for short "subtypes": {"benign": ["a sentence", ...]}.
A Python file is read as text, never executed: of it only module-level lists of plain strings count, and a mapping
says which of them belongs to which class, {"generic": "NAME", "benign": "OTHER_NAME"}.
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsam_exp.data.phantom.captions import generic_sentences, subtype_sentences
from medsam_exp.data.tables import text_of_file
from medsam_exp.text.json_file import parsed_json
from medsam_exp.text.sentence_lists import SentenceLists, SubtypeSentences, in_words
from medsam_exp.types import UserError

_FOLDER = Path(__file__).parent / "sentences"
_PHANTOM = "phantom"
_GENERIC = "generic"
_FORM = '{"generic": ["a sentence", ...], "subtypes": {"class": ["a sentence", ...]}}'


def own_lists() -> tuple[str, ...]:
    """Names of the lists that come with the package."""
    return (*sorted(path.stem for path in _FOLDER.glob("*.json")), _PHANTOM)


def read_sentences(source: str | None, lists: Mapping[str, str] | None = None) -> SentenceLists:
    """Read the sentences of a task.

    Args:
        source: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class, "generic" for those that fit every image.

    Raises:
        UserError: there is no source, or it cannot be read as one of the forms above.
    """
    if not source:
        raise UserError(
            f"data.sentences is not set: name lists of this package ({', '.join(own_lists())}) or a .json or .py "
            "file in text.sentences"
        )
    if source == _PHANTOM:
        subtypes = {name: SubtypeSentences(name, texts) for name, texts in subtype_sentences().items()}
        return SentenceLists(source, generic_sentences(), subtypes)
    if source in own_lists():
        return _from_json(source, (_FOLDER / f"{source}.json").read_text(encoding="utf-8"))
    path = Path(source).expanduser()
    if path.suffix not in {".json", ".py"}:
        raise UserError(
            f"text.sentences={source} names no lists of this package ({', '.join(own_lists())}) and no .json or "
            ".py file: give one of them"
        )
    content = text_of_file(path, "text.sentences")
    return _from_json(str(path), content) if path.suffix == ".json" else _from_python(path, content, lists)


def _from_json(source: str, content: str) -> SentenceLists:
    table = parsed_json(content, source)
    if not isinstance(table, dict) or not isinstance(table.get("subtypes", {}), dict):
        raise UserError(f"{source} has not the form {_FORM}: write it so")
    unknown = sorted(set(table) - {_GENERIC, "subtypes"})
    if unknown:
        raise UserError(
            f'{source} has {", ".join(unknown)} beside "generic" and "subtypes": remove or rename it'
        )
    subtypes = {name: _subtype(source, name, given) for name, given in table.get("subtypes", {}).items()}
    return SentenceLists(source, _strings(source, _GENERIC, table.get(_GENERIC, [])), subtypes)


def _subtype(source: str, class_name: str, given: Any) -> SubtypeSentences:
    if isinstance(given, list):
        given = {"sentences": given}
    if (
        not isinstance(given, dict)
        or "sentences" not in given
        or set(given) - {"name", "aliases", "sentences"}
    ):
        raise UserError(
            f'{source}: the subtype {class_name} is neither a list of sentences nor {{"name": "...", "aliases": '
            '[...], "sentences": [...]}: write it so'
        )
    name = given.get("name", in_words(class_name))
    sentences = _strings(source, class_name, given["sentences"])
    if not sentences or not isinstance(name, str):
        raise UserError(
            f"{source}: the subtype {class_name} has no sentence or a name that is no text: add it"
        )
    return SubtypeSentences(name, sentences, _strings(source, class_name, given.get("aliases", [])))


def _strings(source: str, name: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise UserError(f"{source}: {name} is no list of strings: write {_FORM}")
    return tuple(given)


def _from_python(path: Path, content: str, lists: Mapping[str, str] | None) -> SentenceLists:
    there = _literal_lists(path, content)
    names = ", ".join(there) or "no list of strings"
    if not lists:
        raise UserError(
            f"text.lists is not set: say which lists of {path} to use, as in text.lists='{{generic: NAME, benign: "
            f"OTHER_NAME}}' (it has {names})"
        )
    missing = [name for name in lists.values() if name not in there]
    if missing:
        raise UserError(f"{path} has no list {', '.join(missing)} (it has {names}): set text.lists")
    generic = there[lists[_GENERIC]] if _GENERIC in lists else ()
    subtypes = {
        class_name: SubtypeSentences(in_words(class_name), there[name])
        for class_name, name in lists.items()
        if class_name != _GENERIC
    }
    return SentenceLists(str(path), generic, subtypes)


def _literal_lists(path: Path, content: str) -> dict[str, tuple[str, ...]]:
    """Module-level lists of strings by name; the syntax tree is read, no code runs."""
    try:
        body = ast.parse(content).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{path} is no valid Python ({error}): mend it, or give a .json file") from error
    found = {}
    for node in body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple)):
            continue
        texts = [part.value for part in node.value.elts if isinstance(part, ast.Constant)]
        strings = [text for text in texts if isinstance(text, str)]
        if len(strings) == len(node.value.elts):
            found.update({name.id: tuple(strings) for name in node.targets if isinstance(name, ast.Name)})
    return found
