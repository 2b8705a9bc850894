"""JSON files of texts, of which no entry is lost."""

from collections import Counter
from functools import partial
from typing import Any

from medsam_exp.runtime import foreign
from medsam_exp.types import UserError


def parsed_json(content: str, shown: str) -> Any:
    """Parse JSON; `shown` is the file's name in errors.

    Raises:
        UserError: it is no valid JSON, nested too deeply, or an object names something twice, of which Python would
            keep the last.
    """
    try:
        return foreign.parsed_json(content, shown, "mend it", object_pairs_hook=partial(_unrepeated, shown))
    except ValueError as error:  # ValueError: invalid, or a number of too many digits
        raise UserError(f"{shown} is no valid JSON ({error}): mend it") from error


def _unrepeated(shown: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise UserError(f"{shown} names {name} twice: write its texts as one list")
    return dict(pairs)
