"""Lists of names, and errors of other libraries, as parts of sentences."""

import difflib
from collections.abc import Iterable


def first_few(items: Iterable[object], most: int = 10, separator: str = ", ") -> str:
    """List the first items, and say how many more there are.

    Args:
        items: what to list.
        most: number of items that are listed.
        separator: between them, ", " or "; ".

    Returns:
        Such as "a, b and 3 more" or "a; b; and 3 more".
    """
    texts = [str(item) for item in items]
    more = f"{separator.rstrip(', ')} and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def joined_with_and(names: Iterable[str], most: int = 4) -> str:
    """Enumerate names, such as "a, b and c".

    Args:
        names: what to enumerate.
        most: number of names that are listed where there are at least two more, which are then only counted.
    """
    given = list(names)
    shown = given[:most] if len(given) > most + 1 else given
    rest = [f"{len(given) - len(shown)} more"] if len(shown) < len(given) else []
    *before, last = [*shown, *rest] or [""]
    return f"{', '.join(before)} and {last}" if before else last


def near_names(word: str, known: Iterable[str]) -> list[str]:
    """The two names at most that look most like a word."""
    return difflib.get_close_matches(word, list(known), 2)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What somebody may have meant by a word that is not known, such as "did you mean a or b?"."""
    names = list(known)
    near = near_names(word, names)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"


def first_line(error: BaseException) -> str:
    """First line of an error's message, 200 letters at most, or the error's class where it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
