"""The numbers to compare with: the paper's, or those that were measured here, from a table's expected.json."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.reproduce.plan import TABLES

EXPECTED_FILE = "expected.json"
PAPER = "paper"
Key = tuple[str, str, str]
"""Row, column, measure, by their headings."""


@dataclass(frozen=True)
class Reference:
    """A number to compare with.

    Attributes:
        mean: as printed; in percent in the paper, else a share.
        std: over images, where it is known.
        follows: what the paper's own columns give, where they do not give what it prints.
    """

    mean: float
    std: float | None = None
    follows: float | None = None

    @property
    def compared(self) -> float:
        """What ours is compared with."""
        return self.mean if self.follows is None else self.follows


@dataclass(frozen=True)
class Expected:
    """The numbers of a table at one scale.

    Attributes:
        cells: in the order of the table.
        tolerance: largest difference that counts as reached, by measure.
        source: where they are from.
    """

    cells: Mapping[Key, Reference]
    tolerance: Mapping[str, float]
    source: str


def read_expected(name: str, scale: str, folder: Path = TABLES) -> Expected:
    """Read a table's numbers; none where none were committed for a scale."""
    path = folder / name / EXPECTED_FILE
    content = json.loads(path.read_text()).get(scale, {}) if path.is_file() else {}
    cells = {
        (row, column, measure): _reference(figure)
        for row, columns in content.get("rows", {}).items()
        for column, measures in columns.items()
        for measure, figure in measures.items()
    }
    for error in content.get("errors", ()):
        key = (error["row"], error["column"], error["measure"])
        cells[key] = replace(cells[key], follows=error["follows"])
    return Expected(cells, content.get("tolerance", {}), content.get("source", ""))


def average(figures: Iterable[tuple[float, float | None]]) -> tuple[float, float | None]:
    """The paper's "All": the mean of the datasets' means, and the root mean square of their standard deviations."""
    means, stds = zip(*figures, strict=True)
    known = [std for std in stds if std is not None]
    spread = math.sqrt(sum(std**2 for std in known) / len(known)) if len(known) == len(stds) else None
    return sum(means) / len(means), spread


def _reference(figure: Mapping[str, Any]) -> Reference:
    return Reference(float(figure["mean"]), figure.get("std"))
