"""Parts of a report that are kept with the stored results, by all that decides them, and made again when it changes."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import medsam_exp
from medsam_exp.runtime.artifacts import StageArtifacts, stage_key
from medsam_exp.runtime.digests import text_digest
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.shared_work import own_blocks

_DRAWN_BY = ("matplotlib", "pillow", "scikit-image")
_SHOWN = ("report", "metrics", "nnunet/uncertainty", "saliency", "stages")
"""Rooms whose code decides what pictures show: numbers, maps, names, units, titles and colours."""


class Kept:
    """Parts of one kind, beside the stages' results; the same clean-up removes those that were not used lately.

    Args:
        root: folder of all artifacts.
        kind: of the parts; a folder has its name.
        keys: of the stages whose results are shown.
        shows: digest of what else each part shows, by the part's name.
        settings: what else decides all of them, JSON-able.
    """

    def __init__(
        self,
        root: Path,
        kind: str,
        keys: Mapping[str, str],
        shows: Mapping[str, str],
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        config = {"code": code_digest(), **(settings or {})}
        self._description: dict[str, Any] = {
            "stage": kind,
            "version": 1,
            "config": config,
            "parents": dict(keys),
            "weights": {},
        }
        self._stored = StageArtifacts(root, kind, stage_key(**self._description), shows)
        self._names = list(shows)
        self._lacking = set(shows)
        with suppress(OSError, UserError):
            self._lacking = set(self._stored.pending(self._names))
        self._is_new = bool(self._lacking)
        self._stored.mark_used()
        self._open = ExitStack()

    def part(self, name: str, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """A part, JSON-able; one that is not there, or cannot be read or stored, is made."""
        if name not in self._lacking:
            with suppress(UserError, ValueError):
                return self._stored.info(name)
        made = make()
        with suppress(OSError):  # results that others computed may lie where nothing can be written
            self._stored.save(name, made)
        return made

    def make_together(self, make: Callable[[str], Mapping[str, Any]]) -> None:
        """Make the parts that are not there, some on each process of the job; each of them may call this or not.

        Args:
            make: a part by its name.
        """
        with suppress(OSError):  # as above; who needs a part makes it
            for names in own_blocks(self._stored, self._names):
                with self._stored.gathered():
                    for name in names:
                        self._stored.save(name, make(name))
            self._lacking = set(self._stored.pending(self._names))

    def __enter__(self) -> Self:
        """Store many parts at a time."""
        self._open.enter_context(self._stored.gathered())
        return self

    def __exit__(self, *_: object) -> None:
        """Store the last parts, and say what all are of."""
        with suppress(OSError):
            self._open.close()
            if self._is_new:
                self._stored.write_manifest(self._description, self._names)


@cache
def code_digest() -> str:
    """Digest of the code and of the versions of the libraries that decide how pictures look."""
    package = Path(medsam_exp.__file__).parent
    files = sorted(file for room in _SHOWN for file in (package / room).rglob("*.py"))
    return text_digest(*map(version, _DRAWN_BY), *(file.read_text() for file in files))
