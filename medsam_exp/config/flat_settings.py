"""Configurations as flat settings, to say in which of them runs differ."""

from collections.abc import Mapping, Sequence
from typing import Any

_NOT_COMPARED = ("paths.", "hydra.", "logger.", "name")
"""Settings that begin so change no result."""
_ABSENT = "–"


def flat_settings(configuration: Any) -> dict[str, str]:
    """All settings as text by their dotted names, without those that change no result."""
    return {
        key: str(value) for key, value in flatten(configuration).items() if not key.startswith(_NOT_COMPARED)
    }


def differing(settings: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Of each run's settings those that are not the same in all; `_ABSENT` where a run has no such setting."""
    keys = dict.fromkeys(key for own in settings for key in own)
    varied = [key for key in keys if len({own.get(key) for own in settings}) > 1]
    return [{key: own.get(key, _ABSENT) for key in varied} for own in settings]


def flatten(tree: Any, separator: str = ".", above: str = "") -> dict[str, Any]:
    """Values of a nested mapping under one name each; an empty mapping is a value.

    Args:
        tree: mappings in mappings.
        separator: between the keys of a name.
        above: name of the tree itself.
    """
    if not isinstance(tree, Mapping) or not tree:
        return {above: tree}
    parts = (
        flatten(value, separator, f"{above}{separator}{key}" if above else str(key))
        for key, value in tree.items()
    )
    return {name: value for part in parts for name, value in part.items()}
