"""Names of nnU-Net cases for sample ids of any kind.

nnU-Net cuts file names at fixed places, puts them into regular expressions and expands $variables in them; file
systems have their own ideas of spaces, colons, upper and lower case. A case is therefore named by what is plain in its
sample's id, followed by a hash of all of it. The dataset keeps the ids beside the names.
"""

import hashlib
import re
import unicodedata

_LONGEST_READABLE = 40
_HASH_DIGITS = 12


def case_name(sample_id: str) -> str:
    """Name of a sample's case: lower-case letters, digits, hyphens and one underscore; 53 characters at most.

    It depends on the id alone, so the same image has the same name in every dataset.
    """
    plain = unicodedata.normalize("NFKD", sample_id).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_READABLE].strip("-")
    digest = hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{readable or 'case'}_{digest}"
