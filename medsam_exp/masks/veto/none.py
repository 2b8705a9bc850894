"""No veto: every map becomes a mask, as in the paper."""


class NoVeto:
    """Empties no mask."""

    def __call__(self, presence: float | None) -> bool:
        """Return False, whatever the presence score."""
        return False
