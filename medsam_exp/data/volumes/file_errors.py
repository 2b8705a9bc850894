"""The sentence about a damaged header of a scan."""

from contextlib import AbstractContextManager

from medsam_exp.runtime.foreign import naming_the_file


def naming_its_header(shown: object) -> AbstractContextManager[None]:
    """Turn whatever a library raises over a damaged header into a sentence that names the file."""
    return naming_the_file(shown, "has a damaged header", "export it again")
