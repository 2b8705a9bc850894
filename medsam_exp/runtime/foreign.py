"""Reading files of others: whatever a library raises over them becomes one sentence that names the file."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.limits import limits, refuse_long_text
from medsam_exp.runtime.wording import first_line
from medsam_exp.runtime.yaml_text import is_deeper, parsed_yaml

_NESTED = frozenset((list, dict))


@contextmanager
def naming_the_file(shown: object, what: str, mend: str = "copy it again") -> Iterator[None]:
    """Turn whatever a library raises over damaged bytes into a sentence that names the file.

    Numbers are often converted when they are asked for, so a broken one is met anywhere; decoders raise anything.

    Args:
        shown: the file or series.
        what: is the matter with it, in words.
        mend: how to mend it.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:  # the system's; libraries raise OSError without it
            raise UserError(f"{shown} cannot be read ({error.strerror}): check the file") from error
        raise UserError(f"{shown} {what} ({reason(error)}): {mend}") from error


def reason(error: Exception) -> str:
    """The first line of an error's text; its type where the text is empty."""
    if isinstance(error, AttributeError) and error.obj is not None:
        return f"it has no {error.name}"
    if isinstance(error, KeyError):
        return f"it has no {error.args[0] if error.args else 'such key'}"
    return first_line(error).rstrip(".:")


def read_json(path: Path, mend: str = "copy it again") -> Any:
    """Content of a JSON file in UTF-8.

    Args:
        path: the file.
        mend: what to do where it is none.

    Raises:
        UserError: it cannot be read, is too long, or is no JSON.
    """
    refuse_long_text(path)
    with naming_the_file(path, "cannot be read as JSON", mend):
        return parsed_json(path.read_text(encoding="utf-8"), path, mend)


def parsed_json(text: str, shown: object, mend: str = "copy it again", **options: Any) -> Any:
    """Content of a JSON text.

    Args:
        text: the text.
        shown: what sentences call it.
        mend: what to do where it is too deep.
        options: of `json.loads`.

    Raises:
        UserError: its lists and tables lie deeper within each other than the limit.
        ValueError: it is no JSON.
    """
    try:
        content = json.loads(text, **options)
    except RecursionError as error:
        raise _too_deep(shown, mend) from error
    level = [content] if type(content) in _NESTED else []
    for _ in range(int(limits().nesting)):
        level = [part for value in level for part in _parts(value) if type(part) in _NESTED]
        if not level:
            return content
    raise _too_deep(shown, mend)


def _parts(value: list[Any] | dict[str, Any]) -> Collection[Any]:
    return value.values() if isinstance(value, dict) else value


def _too_deep(shown: object, mend: str) -> UserError:
    return UserError(
        f"{shown} holds lists and tables within each other, deeper than limits.nesting={limits().nesting:g}: {mend}"
    )


def read_yaml(path: Path, mend: str = "copy it again") -> Any:
    """The same of a YAML file."""
    refuse_long_text(path)
    with naming_the_file(path, "cannot be read as YAML", mend):
        text = path.read_text(encoding="utf-8")
        if is_deeper(text, limits().nesting):
            raise _too_deep(path, mend)
        return parsed_yaml(text)


def read_table_of_json(path: Path, mend: str = "copy it again") -> dict[str, Any]:
    """Content of a JSON file that holds an object.

    Raises:
        UserError: as `read_json`, or it holds something else.
    """
    content = read_json(path, mend)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: {mend}")
    return content
