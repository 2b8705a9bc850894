"""Facts on disk by the content of the files that they are about, so that nothing is measured twice."""

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from medsam_exp.curation.quality.facts import Facts, from_json
from medsam_exp.curation.quality.items import Item
from medsam_exp.curation.quality.measure import VERSION, measure
from medsam_exp.runtime.digests import FileDigests, text_digest, write_atomically
from medsam_exp.runtime.json_text import json_text


class FactStore:
    """Measures what is not known yet.

    Args:
        folder: where facts are kept; None keeps none.
        digests: content hashes of files.
        mask_values: values that count as foreground in masks of class labels; None for two-valued masks.
    """

    def __init__(
        self, folder: Path | None, digests: FileDigests, mask_values: Collection[int] | None = None
    ) -> None:
        self._folder, self._digests, self._mask_values = folder, digests, mask_values
        self.measured = 0

    def of(self, item: Item) -> Facts:
        """The facts of an item that has an image."""
        path = self._path(item)
        if path is not None and path.is_file():
            try:
                return from_json(json.loads(path.read_text()))
            except (ValueError, KeyError, TypeError):  # a damaged file is measured anew
                pass
        facts = measure(item, self._mask_values)
        self.measured += 1
        problems = [facts.image.problem, *(mask.problem for mask in facts.masks.values())]
        if path is not None and not any(problems):  # they name paths
            write_atomically(path, json_text(asdict(facts)).encode())
        return facts

    def _path(self, item: Item) -> Path | None:
        if self._folder is None or item.image is None:
            return None
        try:
            parts = [f"version {VERSION}", str(self._mask_values), self._digests.of(item.image)]
            for kind, files in sorted(item.masks.items()):
                parts += [f"kind {kind}", *(self._digests.of(path) for path in files)]
        except OSError:  # it cannot be read; measuring says so
            return None
        digest = text_digest(*parts)
        return self._folder / digest[:2] / f"{digest}.json"
