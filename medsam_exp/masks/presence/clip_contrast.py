"""Uncalibrated presence score of any CLIP: softmax share of the text against absence and nonsense texts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsam_exp.types import UserError


class ClipContrast:
    """The share of the text in the softmax over itself, absence texts and nonsense, at the model's temperature.

    In [0, 1] and a ranking, but no probability: how many texts are contrasted decides its level.

    Args:
        absence_texts: what is said of an image that shows nothing.
        nonsense_texts: what is true of no scan.

    Raises:
        UserError: a list is empty.
    """

    calibrated_on: str | None = None

    def __init__(self, absence_texts: list[str], nonsense_texts: list[str]) -> None:
        if not absence_texts or not nonsense_texts:
            raise UserError("presence.absence_texts and presence.nonsense_texts need at least one text each")
        self.absence_texts, self.nonsense_texts = tuple(absence_texts), tuple(nonsense_texts)

    def __call__(self, features: Mapping[str, float]) -> float:
        """The text's share, in [0, 1]."""
        return features["share"]

    def check_network(self, fingerprint: str) -> None:
        """Any CLIP model will do."""


def weight_files(**_: Any) -> list[Path]:
    """No file decides the score."""
    return []
