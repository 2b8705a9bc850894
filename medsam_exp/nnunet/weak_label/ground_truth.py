"""The true masks are the labels: the fully supervised reference."""

from typing import ClassVar, Literal


class GroundTruth:
    """Declares ground truth as the source of labels; the stage, a declared reader, reads it."""

    source: ClassVar[Literal["ground_truth"]] = "ground_truth"
