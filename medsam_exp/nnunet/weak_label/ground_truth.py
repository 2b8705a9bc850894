"""The true masks are the labels: the fully supervised reference."""

from typing import ClassVar, Literal


class GroundTruth:
    """Says that labels are ground truth; the stage, a declared reader, reads it."""

    source: ClassVar[Literal["ground_truth"]] = "ground_truth"
