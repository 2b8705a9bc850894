"""What stages cost: how long, how many images were computed and how many were there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Timing:
    """What one stage cost; `images` were computed now, `cached` were there."""

    seconds: float
    images: int
    images_per_second: float
    cached: int


def timing(seconds: float, computed: int, wanted: int) -> Timing:
    """What a stage cost that took so long and computed so many of the wanted images."""
    rate = computed / seconds if computed else 0.0
    return Timing(round(seconds, 3), computed, round(rate, 3), wanted - computed)


def timing_table(timings: Mapping[str, Timing]) -> dict[str, dict[str, float]]:
    """Timings as plain dictionaries, for the summary."""
    return {name: asdict(value) for name, value in timings.items()}
