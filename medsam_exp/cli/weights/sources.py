"""Where a published file can be had, best first: mirrors, then its publishers."""

import re
from collections.abc import Mapping
from pathlib import Path

from medsam_exp.cli.weights.catalogue import PublishedFile
from medsam_exp.cli.weights.settings import EVERYTHING


def sources(file: PublishedFile, mirrors: Mapping[str, str]) -> list[str]:
    """Addresses and local paths of a file.

    Args:
        file: of the catalogue.
        mirrors: addresses or folders, by the beginning of the address that they stand for, or `all`.
    """
    found = []
    for start, instead in mirrors.items():
        if start == EVERYTHING:
            found.append(f"{instead.rstrip('/')}/{file.path}")
        elif file.address.startswith(start.rstrip("/") + "/"):
            found.append(instead.rstrip("/") + file.address.removeprefix(start.rstrip("/")))
    return list(dict.fromkeys([*found, file.address]))


def shown(source: str) -> str:
    """A source for a reader's eyes: a mirror's user name and password stay out of terminals, logs and files."""
    return re.sub(r"(?<=://)[^/@]*@", "", source)


def is_local(source: str) -> bool:
    """Whether a source is a file of this machine, or of a disk that it sees."""
    return not source.startswith(("http://", "https://"))


def local_path(source: str) -> Path:
    """Its path; `file://` may stand before it."""
    return Path(source.removeprefix("file://")).expanduser()
