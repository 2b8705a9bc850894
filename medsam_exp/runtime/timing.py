"""How long stages took."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Timing:
    """What one stage cost; `images` were computed now, `cached` were there."""

    seconds: float
    images: int
    images_per_second: float
    cached: int

    @classmethod
    def of(cls, seconds: float, computed: int, wanted: int) -> "Timing":
        """Of a stage that computed some of the wanted results in so many seconds."""
        rate = computed / seconds if computed else 0.0
        return cls(round(seconds, 3), computed, round(rate, 3), wanted - computed)


def timing_table(timing: Mapping[str, Timing]) -> dict[str, dict[str, float]]:
    """Timings as plain dictionaries, for the summary."""
    return {name: asdict(value) for name, value in timing.items()}
