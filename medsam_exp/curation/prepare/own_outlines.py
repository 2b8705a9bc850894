"""Which of one's own images an annotation in COCO's format belongs to."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from unicodedata import normalize

from medsam_exp.data.coco import Coco, CocoImage
from medsam_exp.data.volumes.scan import Scan

Outlines = tuple[CocoImage, dict[int, str]]
"""What is said of one image, and the names of its labels."""


def assign_outlines(
    scans: Sequence[Scan], files: Sequence[Coco]
) -> tuple[dict[int, list[Outlines]], list[str]]:
    """The annotations of every scan, by its place in `scans`; and a sentence about each file that names others.

    An image is known by its file's name, with as many folders as it takes.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, scan in enumerate(scans):
        if len(scan.facts.files) == 1 and scan.facts.shape[2] == 1:
            by_name[normalize("NFC", scan.facts.files[0].name)].append(number)
    owners: dict[int, list[Outlines]] = defaultdict(list)
    faults = []
    for file in files:
        strangers = []
        for image in file.images:
            found = _found(image, scans, by_name)
            if len(found) == 1:
                owners[found[0]].append((image, file.names))
            else:
                strangers.append(f"{image.name}{' (several have this name)' if found else ''}")
        if strangers:
            faults.append(
                f"{file.images[0].path} names {len(strangers)} images that are not here (first: {strangers[0]}): add "
                "them, or take them out of the file"
            )
    return owners, faults


def _found(image: CocoImage, scans: Sequence[Scan], by_name: dict[str, list[int]]) -> list[int]:
    name = PurePosixPath(normalize("NFC", image.name))
    numbers = by_name.get(name.name, [])
    if len(numbers) < 2:
        return numbers
    exact = [n for n in numbers if _path(scans[n]).parts[-len(name.parts) :] == name.parts]
    return exact if len(exact) == 1 else numbers


def _path(scan: Scan) -> PurePosixPath:
    return PurePosixPath(normalize("NFC", scan.facts.files[0].as_posix()))
