"""Images to train on, and ids that break naive file names."""

import numpy as np

from medsam_exp.nnunet.raw_dataset import Case

NASTY = (
    "benign (12)",
    "benign (12) ",
    "scan@malignant",
    "scan_0000",
    "scan_0000.png",
    "scan_0000_0000",
    "a.b.c.nii.gz",
    "[x]+(y)*$^|\\d{4}",
    "$HOME",
    "../up/and/away",
    ".hidden",
    "-rf",
    "",
    "Scan",
    "scan",
    "Läsion 3µm",
    "Lasion 3m",
    "病変",
    "病巣",
    "x" * 300,
    "x" * 301,
    "lone \udc80 byte",
    "line\nbreak",
    "con",
)


def gray_case(name: str, seed: int = 0, size: tuple[int, int] = (48, 40), classes: int = 1) -> Case:
    """A noisy image with one bright disc per class."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices(size)
    pixels = generator.integers(0, 80, size).astype(np.uint8)
    label = np.zeros(size, np.uint8)
    for value in range(1, classes + 1):
        centre = np.array(size) * value / (classes + 1)
        disc = np.hypot(rows - centre[0], columns - centre[1]) < min(size) / 6
        label[disc] = value
        pixels[disc] += 100
    return Case(name, np.repeat(pixels[..., None], 3, axis=-1), label)
