"""Veto by presence: no mask where the text's target is probably not in the image."""

from dataclasses import dataclass

from medsam_exp.types import UserError


@dataclass(frozen=True)
class PresenceVeto:
    """Empties the mask of an image whose presence score is below a threshold.

    Args:
        threshold: in [0, 1]; 0 never vetoes.

    Raises:
        UserError: the threshold is no probability.
    """

    threshold: float

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UserError(f"veto.threshold={self.threshold}, but it is compared with a score in [0, 1]")

    def __call__(self, presence: float | None) -> bool:
        """Say whether the score is below the threshold.

        Raises:
            ValueError: there is no score; the configuration's checks ask for the stage that makes it.
        """
        if presence is None:
            raise ValueError("the veto needs a presence score")
        return presence < self.threshold
