"""Drawn scans to try the app on; `medsam-exp app-examples FOLDER` writes them as files."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medsam_exp.data.phantom.draw import draw_phantom
from medsam_exp.data.phantom.files import write_drawn
from medsam_exp.data.phantom.plan import SCANS_BY_MODALITY, Content
from medsam_exp.types import RGBImage

_SEED = 2
"""Held out: the embedded networks were trained on scans of other seeds."""
_CONTENT = Content(tuple(SCANS_BY_MODALITY), 0.0, 0.4)
_SCANS = {
    "breast_ultrasound": ("Drawn breast scan", 11),
    "brain_mri": ("Drawn brain MRI", 22),
    "chest_xray": ("Drawn chest X-ray", 1),
    "lung_ct": ("Drawn lung CT", 13),
    "abdominal_ct": ("Drawn belly CT", 0),
}
"""Label and number of the scan that is drawn, by name."""


@dataclass(frozen=True)
class Example:
    """A drawn scan.

    Attributes:
        name: of its file, without ending.
        label: for people.
        image: (H, W, 3) uint8.
        texts: a sentence about each lesion, one or two.
    """

    name: str
    label: str
    image: RGBImage
    texts: tuple[str, ...]


@cache
def examples() -> tuple[Example, ...]:
    """One scan of each kind that is drawn."""
    found = []
    for name, (label, number) in _SCANS.items():
        scan = draw_phantom(_SEED, number, _CONTENT)
        found.append(Example(name, label, scan.image, tuple(of_lesion[0] for of_lesion in scan.captions)))
    return tuple(found)


def write_examples(folder: Path) -> dict[str, Path]:
    """Write all of them as PNG; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {example.name: folder / f"{example.name}.png" for example in examples()}
    for example in examples():
        write_drawn(paths[example.name], example.image)
    return paths
