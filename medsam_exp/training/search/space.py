"""What a search may vary: for each number the values to choose from, or a range."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medsam_exp.types import UserError

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Choices:
    """A number that takes one of some values.

    Attributes:
        values: at least one, all different.
    """

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Range:
    """A number that takes any value from `low` to `high`, both included; whole numbers if all of these are.

    Attributes:
        low: smallest value.
        high: largest value.
        log: whether equal factors are equally likely, instead of equal differences; not together with `step`.
        step: distance of the values; None for any (of whole numbers: 1).
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_integer(self) -> bool:
        """Whether the values are whole numbers."""
        return all(isinstance(given, int) for given in (self.low, self.high, self.step or 1))


Space = dict[str, Choices | Range]


def parse_space(tree: Mapping[str, Any]) -> Space:
    """Read a search space that is laid out like the configuration.

    Args:
        tree: {group: {option: values}}, where values are a list, or {low, high, log, step} for a range.

    Returns:
        By dotted key ("saliency.beta"), in the order of the tree.

    Raises:
        UserError: the space is empty or an entry makes no sense.
    """
    space = {key: _entry(key, node) for key, node in leaves(tree)}
    if not space:
        raise UserError(
            "search.space is empty; name at least one option, as in: search.space.saliency.beta=[1.0,2.0]"
        )
    return space


def grid(space: Space) -> dict[str, list[Value]]:
    """All values of each key, for trying every combination.

    Raises:
        UserError: a range has no step, so its values cannot be listed.
    """
    return {key: _listed(key, entry) for key, entry in space.items()}


def edges(entry: Choices | Range) -> tuple[Value, ...]:
    """Values that stand for an entry when it is checked: all choices, or both ends of a range."""
    return entry.values if isinstance(entry, Choices) else (entry.low, entry.high)


def describe(values: Mapping[str, Value]) -> str:
    """Values in words: "saliency.beta=0.3, saliency.layer=2"."""
    return ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, entry) of a tree; a range counts as one entry."""
    for key, node in tree.items():
        here = f"{path}{key}"
        if isinstance(node, Mapping) and "low" not in node and "high" not in node:
            yield from leaves(node, f"{here}.")
        else:
            yield here, node


def _entry(key: str, node: Any) -> Choices | Range:
    if isinstance(node, Mapping):
        return _range(key, node)
    if not isinstance(node, list | tuple) or not node:
        raise UserError(f"search.space.{key} is {node!r}; give a list of values, or low and high of a range")
    if not all(value is None or isinstance(value, bool | int | float | str) for value in node):
        raise UserError(f"search.space.{key} has an entry that is neither a number nor a word")
    if len(set(map(repr, node))) < len(node):
        raise UserError(f"search.space.{key} names a value twice")
    return Choices(tuple(node))


def _range(key: str, node: Mapping[str, Any]) -> Range:
    unknown = sorted(set(node) - {"low", "high", "log", "step"})
    if unknown or "low" not in node or "high" not in node:
        raise UserError(
            f"search.space.{key} needs low and high, and may have log and step, but has {', '.join(node)}"
        )
    numbers = [node["low"], node["high"], *([node["step"]] if node.get("step") is not None else [])]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise UserError(f"search.space.{key} has a low, high or step that is not a number")
    found = Range(**node)
    if found.low >= found.high or (found.step is not None and found.step <= 0):
        raise UserError(f"search.space.{key} needs low < high and step > 0")
    if found.log and (found.low <= 0 or found.step is not None):
        raise UserError(f"search.space.{key} with log=true needs low > 0 and no step")
    return found


def _listed(key: str, entry: Choices | Range) -> list[Value]:
    if isinstance(entry, Choices):
        return list(entry.values)
    step = entry.step or (1 if entry.is_integer and not entry.log else None)
    if step is None:
        raise UserError(
            f"search.space.{key} is a range without a step, which a grid cannot list; use search.sampler=tpe"
        )
    count = math.floor((entry.high - entry.low) / step + 1e-9) + 1
    return [entry.low + number * step for number in range(count)]
