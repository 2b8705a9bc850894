"""Where lesions may lie in each kind of scan."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """An ellipse in relative coordinates.

    Attributes:
        center: (y, x).
        radii: half axes (y, x).
        margin: how far a lesion stays away from the rim, in its own radii.
    """

    center: tuple[float, float]
    radii: tuple[float, float]
    margin: float = 1.0


REGIONS: dict[str, tuple[Region, ...]] = {
    "breast_ultrasound": (Region((0.52, 0.5), (0.46, 0.60)),),
    "brain_mri": (Region((0.5, 0.5), (0.42, 0.37), 0.9),),
    "chest_xray": (Region((0.48, 0.29), (0.34, 0.19), 0.65), Region((0.48, 0.71), (0.34, 0.19), 0.65)),
    "lung_ct": (Region((0.48, 0.29), (0.28, 0.18), 0.7), Region((0.48, 0.71), (0.28, 0.18), 0.7)),
    "abdominal_ct": (Region((0.44, 0.5), (0.34, 0.42), 0.9),),
}
