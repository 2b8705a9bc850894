"""Chest CT slices with lungs, heart and trachea: polomarco/chest-ct-segmentation on Kaggle, after Konya 2020.

Reads images/images/ID..._N.jpg with masks/masks/ID..._mask_N.jpg, N the slice of the patient ID (OSIC), 16,708 pairs.
A mask's colours are the organs: as public programs read them, blue is the lungs, green the heart, red the trachea;
--channel names another colour. It stops where blue is not the largest of the three, as the colours mean other things.

The files are JPEG, so masks are cut at half of the full value, and their borders may be off by a pixel.

Slices without the organ are dropped unless --empty keep is given. Patients stay together, drawn by hash in the paper's
proportions (7,959 / 3,010 / 1,800 slices of 107 patients; its authors published no list).
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, unique_names, write_layout
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.curation.prepare.splitting import divided
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.types import Mask, RGBImage, UserError

LICENCE = "as its page on Kaggle states it (polomarco/chest-ct-segmentation); cite Konya 2020 and the OSIC challenge"
_SPLIT = "train=62.3%,val=23.6%,test=14.1%"
_ORGANS = {"lungs": "blue", "heart": "green", "trachea": "red"}
_CHANNELS = ("red", "green", "blue")
_IMAGE = r"(?P<patient>[^/_]+)_(?P<slice>\d+)\.(?:jpe?g|png)"
_MASK = r"(?P<patient>[^/_]+)_mask_(?P<slice>\d+)\.(?:jpe?g|png)"


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("lung_CT")],
    split: Annotated[str, command.amounts_of("Patients together")] = _SPLIT,
    seed: command.Seed = 0,
    organ: Annotated[Literal["lungs", "heart", "trachea"], typer.Option(help="What to find.")] = "lungs",
    channel: Annotated[
        Literal["red", "green", "blue"] | None, typer.Option(help="The organ's colour, if not as above.")
    ] = None,
    empty: Annotated[Literal["drop", "keep"], typer.Option(help="Slices without the organ.")] = "drop",
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare the CT slices."""
    place = _CHANNELS.index(channel or _ORGANS[organ])
    with open_source(download, lambda name: "numpy" not in name.lower()) as source:
        pairs, notes = _pairs(source)
        areas = _areas(source, {image: mask for image, (_, mask) in pairs.items()})
        if channel is None:
            _check_colours(source, areas, organ)
        if empty == "drop":
            without = {image for image, area in areas.items() if area is not None and not area[place]}
            pairs = {image: pair for image, pair in pairs.items() if image not in without}
            notes += [f"slices without {organ}, dropped: {len(without)}"] if without else []
        names = unique_names(
            {image: f"{plain_name(m['patient'])}_{int(m['slice']):04d}" for image, (m, _) in pairs.items()}
        )
        cases = [
            PreparedImage(
                name=names[image],
                split="",
                read=partial(_read, source, image, mask, place),
                group=match["patient"],
                source=image,
            )
            for image, (match, mask) in pairs.items()
        ]
        facts = source.facts([*pairs, *(mask for _, mask in pairs.values())])
        rule = "patients together, drawn by hash of (seed, patient)"
        request = command.request_of(given, rule, LICENCE, [facts])
        prepared = write_layout(out, divided(cases, split, seed), request, notes, skip_faulty=skip_faulty)
    yield from command.summary_lines(prepared, "data=lung_ct")


def _pairs(source: Source) -> tuple[dict[str, tuple[re.Match[str], str]], list[str]]:
    """Image to (match, mask), and notes about images without a mask and masks without an image."""
    images = {_key(match): (name, match) for name, match in source.matches(_IMAGE).items()}
    masks = {_key(match): name for name, match in source.matches(_MASK).items()}
    both = sorted(images.keys() & masks.keys())
    if not both:
        example = "ID00007637202177411956430"
        raise source.missing(
            f"images such as images/{example}_0.jpg with masks such as masks/{example}_mask_0.jpg"
        )
    alone = (
        ("images without a mask", images.keys() - masks.keys()),
        ("masks without an image", masks.keys() - images.keys()),
    )
    notes = [f"{what}, left out: {len(keys)}" for what, keys in alone if keys]
    if any(masks[key].lower().endswith((".jpg", ".jpeg")) for key in both):
        notes.append("masks are JPEG: cut at half of the full value")
    return {images[key][0]: (images[key][1], masks[key]) for key in both}, notes


def _key(match: re.Match[str]) -> tuple[str, int]:
    return match["patient"], int(match["slice"])


def _organs(source: Source, mask: str) -> NDArray[np.bool_]:
    """(H, W, 3) bool: where red, green and blue are bright."""
    return source.image(mask) >= 128


def _areas(source: Source, masks: Mapping[str, str]) -> dict[str, NDArray[np.int64] | None]:
    """Pixels of red, green and blue by image; None where the mask cannot be read, which writing will name."""

    def area(mask: str) -> NDArray[np.int64] | None:
        try:
            result: NDArray[np.int64] | None = _organs(source, mask).sum((0, 1))
            return result
        except UserError:
            return None

    return dict(zip(masks, map_in_threads(area, masks.values()), strict=True))


def _check_colours(source: Source, areas: Mapping[str, NDArray[np.int64] | None], organ: str) -> None:
    total = sum((area for area in areas.values() if area is not None), np.zeros(3, dtype=np.int64))
    largest = _CHANNELS[int(total.argmax())]
    gray = total.min() == total.max()
    if not gray and largest != _ORGANS["lungs"]:
        raise UserError(
            f"{source.shown}: {largest} is the largest colour of the masks, where blue lungs were expected: say with "
            f"--channel which colour is the {organ}"
        )


def _read(source: Source, image: str, mask: str, channel: int) -> tuple[RGBImage, Mask]:
    return source.image(image), _organs(source, mask)[..., channel]
