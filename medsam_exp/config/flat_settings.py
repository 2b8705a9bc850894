"""Configurations as flat settings, to say in which of them runs differ."""

from collections.abc import Mapping, Sequence
from typing import Any

NOT_COMPARED = ("paths.", "hydra.", "logger.", "name")
"""Settings that begin so change no result."""
ABSENT = "–"


def flat_settings(configuration: Any) -> dict[str, str]:
    """All settings as text by their dotted names, without those that change no result."""
    return {key: text for key, text in _flat(configuration, "").items() if not key.startswith(NOT_COMPARED)}


def differing(settings: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Of each run's settings those that are not the same in all; `ABSENT` where a run has no such setting."""
    keys = dict.fromkeys(key for own in settings for key in own)
    varied = [key for key in keys if len({own.get(key) for own in settings}) > 1]
    return [{key: own.get(key, ABSENT) for key in varied} for own in settings]


def _flat(node: Any, place: str) -> dict[str, str]:
    if isinstance(node, Mapping) and node:
        parts = (_flat(value, f"{place}.{key}" if place else str(key)) for key, value in node.items())
        return {key: value for part in parts for key, value in part.items()}
    return {place: str(node)}
