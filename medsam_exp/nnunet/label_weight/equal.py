"""Every image is drawn as often as any other: nnU-Net's own way."""

from medsam_exp.nnunet.weak_label.candidate import Candidate


class EqualWeight:
    """Weighs nothing."""

    def __call__(self, candidate: Candidate) -> float:  # noqa: ARG002 (shared interface)
        """Return 1, whatever the mask."""
        return 1.0
