"""What `medsam-exp segment` does: segment images, and write mask, map, overlay and record of each."""

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from medsam_exp.cli.compose import with_names
from medsam_exp.cli.interactive.result import Answer
from medsam_exp.cli.interactive.session import Session
from medsam_exp.report.figures import panels
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import Mask, SaliencyMap, UserError

_SIDE = 1024  # pixels of an overlay's longer side at least, so that lines are thin beside the image
_DOTS_PER_INCH = 100


def segment_images(words: Sequence[str], text: str, out: Path, choices: Mapping[str, str]) -> int:
    """Segment every image that is named.

    Args:
        words: image files, and settings as a run takes them, in any order.
        text: what to find.
        out: folder for the results.
        choices: of configuration groups.

    Returns:
        Exit code, 1 where one could not be segmented.

    Raises:
        UserError: no image is named, two would get the same name, or a setting cannot work.
    """
    images, settings = _sorted(words)
    settings = with_names([*settings, *(f"{group}={choice}" for group, choice in choices.items())])
    failed, cautions = 0, dict[str, None]()
    with Session(settings) as session:
        for image in images:
            try:
                answer = session.segment(image, text)
            except UserError as error:
                print(f"error: {image}: {error}" if len(images) > 1 else f"error: {error}", file=sys.stderr)
                failed += 1
                continue
            for path, content in _files(answer, out):
                write_atomically(path, content)
            print(_line(answer, out))
            cautions.setdefault(answer.caution)
    for caution in filter(None, cautions):
        print(f"caution: {caution}", file=sys.stderr)
    return int(failed > 0)


def _sorted(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Images and settings, which stand in any order."""
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


def _files(answer: Answer, folder: Path) -> Iterator[tuple[Path, bytes]]:
    """What is written about one image: paths and contents."""
    name = answer.image_id
    yield folder / f"{name}_mask.png", _mask_png(answer.mask)
    if answer.rival is not None:
        yield folder / f"{name}_text_mask.png", _mask_png(answer.rival.mask)
    yield folder / f"{name}_saliency.png", _saliency_png(answer.saliency_map)
    yield folder / f"{name}_overlay.png", _overlay_png(answer)
    yield folder / f"{name}.json", (json_text(answer.record(), indent=1) + "\n").encode()


def _line(answer: Answer, folder: Path) -> str:
    share = 100 * answer.mask.mean()
    taken = sum(answer.seconds.values())
    sure = ", ".join(f"{value:.2f}" for value in answer.shown_iou_predictions) or "none"
    return (
        f"{folder / answer.image_id}_mask.png  {int(answer.mask.sum())} px ({share:.1f} %)  "
        f"presence {answer.presence:.2f}  SAM's expected IoU {sure}  {taken:.1f} s"
    )


def _mask_png(mask: Mask) -> bytes:
    """A lossless PNG of 0 and 255, original frame."""
    return _png(Image.fromarray(mask.astype(np.uint8) * 255))


def _saliency_png(saliency_map: SaliencyMap) -> bytes:
    """A map in colours, dark for 0 and bright for 1, original frame."""
    coloured = colormaps[panels.COLOUR_MAP](np.clip(saliency_map, 0, 1))[..., :3] * 255
    return _png(Image.fromarray(coloured.round().astype(np.uint8)))


def _overlay_png(answer: Answer) -> bytes:
    """The image with coarse mask, visual prompts and mask as outlines."""
    height, width = answer.mask.shape
    scale = max(1.0, _SIDE / max(height, width))
    size = (width * scale / _DOTS_PER_INCH, height * scale / _DOTS_PER_INCH)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    panels.draw_image(axes, answer.image)
    entries = [
        panels.draw_outline(axes, answer.coarse_mask, panels.COARSE),
        panels.draw_outline(axes, answer.mask, panels.SAM),
        *panels.draw_prompts(axes, answer.prompts),
    ]
    if answer.rival is not None:
        entries.append(panels.draw_outline(axes, answer.rival.mask, panels.TEXT))
    labels, artists = zip(*entries, strict=True)
    legend: Any = axes.legend(artists, labels, loc="lower left", fontsize=9, framealpha=0.75)
    legend.set_zorder(10)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
