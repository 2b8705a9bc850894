"""Objects that a run has planned with, or whose weights it has planned with: stages get these and no others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medsam_exp.config.build import build, nested_weight_files, weight_files
from medsam_exp.runtime.digests import FileDigests


class PlannedObjects:
    """Makes the objects of config groups.

    Args:
        cfg: a checked configuration.
        digests: content hashes of files.
        make: makes the object of a config node.
    """

    def __init__(self, cfg: DictConfig, digests: FileDigests, make: Callable[..., Any]) -> None:
        self._cfg, self._digests, self._make = cfg, digests, make
        self._kept: dict[str, Any] = {}

    def to_plan_with(self, group: str) -> Any:
        """The object of a group whose content enters a key; a stage gets the same one, with what it has read."""
        if group not in self._kept:
            self._kept[group] = build(self._cfg[group])
        return self._kept[group]

    def weight_files(self, group: str) -> list[Path]:
        """Local files that decide a network's weights; missing ones may be downloaded."""
        return weight_files(self._cfg[group])

    def checksums(self, group: str) -> list[str]:
        """Of the files that decide a network's weights; files of the same size and time are not read again."""
        return [self._digests.of(path) for path in self.weight_files(group)]

    def nested_checksums(self, group: str) -> list[str]:
        """Of the files of networks that a method holds; none for most methods."""
        return [self._digests.of(path) for path in nested_weight_files(self._cfg[group])]

    def to_work_with(self, group: str, **overrides: Any) -> Any:
        """The object of a group, or its value.

        Args:
            group: of the configuration.
            overrides: arguments of the object.
        """
        if group in self._kept:
            return self._kept[group]
        node = self._cfg[group]
        return self._make(node, **overrides) if isinstance(node, DictConfig) else node
