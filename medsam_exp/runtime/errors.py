"""The error that means bad input."""

import re

_ODD = re.compile(
    "(?!\n  )[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
"""Signs that a file's name or a library's error may bring, and that would break a sentence or turn it around; lines of
a table below it begin with two blanks."""


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
        super().__init__(_ODD.sub(lambda sign: repr(sign[0])[1:-1], sentence))
