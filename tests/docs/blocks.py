"""The fenced blocks of a Markdown document, with what a comment before each says that it needs.

A marker stands on a line of its own before the block:

    <!-- needs: weights, gpu -->             no line of the block can be run here
    <!-- needs: minutes for: make test -->   only those that start with `make test` cannot
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

REASONS = frozenset(
    {"weights", "data", "gpu", "cluster", "compiler", "network", "minutes", "browser", "waits"}
)
_FENCE = re.compile(r"^( *)(```+)(.*)$")
_MARKER = re.compile(r"^ *<!-- *needs: *(.*?) *-->$")


class MarkerError(Exception):
    """A marker is not of the agreed form."""


@dataclass(frozen=True)
class Marker:
    """Why lines cannot be run.

    Attributes:
        reasons: out of `REASONS`.
        start: how the lines start; empty for all lines.
    """

    reasons: tuple[str, ...]
    start: str = ""


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        line: number of its first line in the document, from 1.
        language: as written after the fence.
        text: without the fences, and without the indentation of a list that it stands in.
        markers: that apply to it.
    """

    line: int
    language: str
    text: str
    markers: tuple[Marker, ...] = field(default=())

    def commands(self) -> list[str]:
        """Lines with something to do; those that end with a backslash are joined to the next."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    def cannot_run(self, command: str) -> bool:
        """Whether a marker speaks of this command."""
        return any(command.strip().startswith(marker.start) for marker in self.markers)


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks of a document.

    Raises:
        MarkerError: a marker is not of the agreed form, stands before nothing, or a fence is not closed.
    """
    return list(_blocks(text.splitlines()))


def _blocks(lines: list[str]) -> Iterator[Block]:
    waiting: list[Marker] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        if fence := _FENCE.match(line):
            end = _end_of_fence(lines, number, fence[2])
            inside = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
            yield Block(number + 2, fence[3].strip(), inside, tuple(waiting))
            waiting, number = [], end
        elif "needs:" in line and "<!--" in line:
            waiting.append(_marker(line, number + 1))
        elif line.strip() and waiting:
            raise MarkerError(f"line {number + 1}: a marker must stand directly before its block")
        number += 1
    if waiting:
        raise MarkerError("a marker stands before no block")


def _end_of_fence(lines: list[str], start: int, fence: str) -> int:
    for number in range(start + 1, len(lines)):
        if lines[number].strip() == fence:
            return number
    raise MarkerError(f"line {start + 1}: the block has no end")


def _marker(line: str, number: int) -> Marker:
    found = _MARKER.match(line)
    if found is None:
        raise MarkerError(f"line {number}: a marker looks like <!-- needs: weights, gpu -->")
    said, _, start = found[1].partition(" for: ")
    reasons = tuple(word.strip() for word in said.split(","))
    if unknown := set(reasons) - REASONS:
        raise MarkerError(
            f"line {number}: {', '.join(unknown)} is no reason; there are {', '.join(sorted(REASONS))}"
        )
    return Marker(reasons, start.strip())
