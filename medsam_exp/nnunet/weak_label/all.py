"""Every zero-shot mask is a pseudo-label, as in the paper."""

from typing import ClassVar, Literal

from medsam_exp.nnunet.weak_label.candidate import Candidate


class AllMasks:
    """Drops nothing; an empty mask labels its image as background only."""

    source: ClassVar[Literal["zero_shot"]] = "zero_shot"

    def __call__(self, candidate: Candidate) -> str | None:  # noqa: ARG002 (shared interface)
        """Return None, whatever the mask."""
        return None
