"""The error that means bad input."""

import re
import unicodedata

_UNUSUAL = re.compile(r"(?!\n  )[^\x20-\x7e]")
"""All but ASCII; the lines of a table below a sentence begin with two blanks."""
_JOINERS = "\u200c\u200d"


def _escaped(found: re.Match[str]) -> str:
    """A sign that cannot be seen, or turns a sentence around, as Python writes it; others as they are.

    A file's name or a library's error may bring it.
    """
    sign = found[0]
    shown = sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"
    return sign if shown else repr(sign)[1:-1]


class UserError(Exception):
    """Bad input, said in one sentence: what is wrong, where (file, key, sample id), how to mend it.

    Example:
        >>> from medsam_exp import InfoNCE, UserError
        >>> try:
        ...     InfoNCE(temperature=0)
        ... except UserError as error:
        ...     print(error)
        loss.temperature is 0, but a temperature must be positive.
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(_UNUSUAL.sub(_escaped, sentence))
