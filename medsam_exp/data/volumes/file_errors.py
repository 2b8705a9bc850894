"""Turns what libraries raise over damaged files into one sentence that names the file."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from medsam_exp.types import UserError


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


def naming_its_header(shown: object) -> AbstractContextManager[None]:
    """The same where a header is damaged."""
    return naming_the_file(shown, "has a damaged header", "export it again")


def reason(error: Exception) -> str:
    """The first line of an error's text; its type where the text is empty."""
    if isinstance(error, AttributeError) and error.obj is not None:
        return f"it has no {error.name}"
    lines = str(error).strip().split("\n")
    return lines[0].rstrip(".:") or type(error).__name__
