"""One thing that was found, and what each kind of finding means."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from medsam_exp.curation.quality.burnt_in import Box

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: a key of `KINDS`.
        items: names of the items that it is about; the first is the one to look at.
        message: what was found, one sentence without a full stop.
        mask: kind of mask that it is about; "" where there is one kind.
        boxes: where in the first item's image, in pixels.
    """

    kind: str
    items: tuple[str, ...]
    message: str
    mask: str = ""
    boxes: tuple[Box, ...] = ()

    @property
    def example(self) -> str:
        """The item to look at, or else what was found."""
        return self.items[0] if self.items else self.message


@dataclass(frozen=True)
class Kind:
    """What a kind of finding is.

    Attributes:
        title: of its section.
        severity: "error" makes scores wrong, "warning" may, "note" should be known.
        meaning: what it does to a paper's numbers.
        mend: what to do about it.
    """

    title: str
    severity: Severity
    meaning: str
    mend: str


def _kinds() -> dict[str, Kind]:
    """The kinds that `findings.yaml` describes."""
    described = yaml.safe_load(Path(__file__).with_name("findings.yaml").read_text(encoding="utf-8"))
    phrases = described["phrases"]
    return {
        name: Kind(kind["title"], kind["severity"], kind["meaning"], kind["mend"].format(**phrases))
        for name, kind in described["kinds"].items()
    }


KINDS = _kinds()
"""Kinds of findings by name, in the order of a report."""
