"""Segment images from the shell: `medsam-exp segment IMAGE --text "..." [--clip ... --out FOLDER]`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from medsam_exp.cli.interactive.result import Answer

GROUPS = {
    "clip": "network that matches image and text",
    "saliency": "method that turns a text into a map",
    "postprocess": "how the map becomes a coarse mask",
    "component_filter": "which regions of the coarse mask stay",
    "prompt": "how the coarse mask becomes boxes and points for SAM",
    "fusion": "how SAM's proposals become one mask",
    "sam": "network that draws the mask",
    "mask_filter": "which regions of SAM's mask stay",
    "presence": "how the presence score is made",
    "veto": "whether a low presence score empties the mask",
}


@stops_when_asked(hint="")
def main(arguments: Sequence[str] | None = None) -> int:
    """Segment every image that the command line names; return its exit code, 1 where one could not be segmented."""
    given = _parser().parse_intermixed_args(arguments)
    try:
        images, settings = _sorted(given.images)
        return _segment_all(images, settings, given)
    except UserError as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medsam-exp segment",
        description="Find in images what a text says. Research use only; not a medical device.",
    )
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image files; what has = is a setting as run.py takes it, such as saliency.beta=0.5 trainer=gpu",
    )
    parser.add_argument("--text", required=True, help='what to find, such as "a dark irregular mass"')
    parser.add_argument(
        "--out", type=Path, default=Path("segmented"), help="folder for the results (segmented)"
    )
    for group, what in GROUPS.items():
        names = ", ".join(path.stem for path in sorted((conf_folder() / group).glob("*.yaml")))
        parser.add_argument(
            f"--{group.replace('_', '-')}", dest=group, metavar="CHOICE", help=f"{what}: {names}"
        )
    return parser


def _sorted(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Images and settings, which stand in any order.

    Raises:
        UserError: no image is named, or two would get the same name.
    """
    images = [Path(word) for word in words if "=" not in word or Path(word).is_file()]
    settings = [word for word in words if "=" in word and not Path(word).is_file()]
    if not images:
        raise UserError("no image is named; give the path of one, such as scan.png")
    by_stem: dict[str, Path] = {}
    for image in images:
        if (other := by_stem.setdefault(image.stem, image)) is not image:
            raise UserError(
                f"{other} and {image} would both be written as {image.stem}: segment them one by one"
            )
    return images, settings


def _segment_all(images: Sequence[Path], settings: Sequence[str], given: argparse.Namespace) -> int:
    from medsam_exp.cli.interactive.session import Session  # here, so that --help answers at once

    choices = {group: choice for group in GROUPS if (choice := getattr(given, group)) is not None}
    failed = 0
    with Session(settings) as session:
        for image in images:
            try:
                answer = session.segment(image, given.text, choices)
            except UserError as error:
                print(f"error: {image}: {error}" if len(images) > 1 else f"error: {error}", file=sys.stderr)
                failed += 1
                continue
            for path, content in _files(answer, given.out):
                write_atomically(path, content)
            print(_line(answer, given.out))
    return int(failed > 0)


def _files(answer: "Answer", folder: Path) -> Iterator[tuple[Path, bytes]]:
    """What is written about one image: paths and contents."""
    from medsam_exp.cli.interactive.pictures import mask_png, overlay_png, saliency_png

    name = answer.image_id
    yield folder / f"{name}_mask.png", mask_png(answer.mask)
    yield folder / f"{name}_saliency.png", saliency_png(answer.saliency_map)
    yield folder / f"{name}_overlay.png", overlay_png(answer)
    yield folder / f"{name}.json", (json_text(answer.record(), indent=1) + "\n").encode()


def _line(answer: "Answer", folder: Path) -> str:
    share = 100 * answer.mask.mean()
    taken = sum(answer.seconds.values())
    sure = ", ".join(f"{value:.2f}" for value in answer.iou_predictions) or "not asked"
    return (
        f"{folder / answer.image_id}_mask.png  {int(answer.mask.sum())} px ({share:.1f} %)  "
        f"presence {answer.presence:.2f}  SAM's expected IoU {sure}  {taken:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
