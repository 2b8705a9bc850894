"""An image and a text in one line of Python."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.cli.interactive.correction import Box, Correction, Point
from medsam_exp.cli.interactive.result import Answer
from medsam_exp.cli.interactive.session import Session
from medsam_exp.runtime.temporary_files import temporary_folder
from medsam_exp.types import UserError


class Pipeline(AbstractContextManager["Pipeline"]):
    """The whole pipeline with choices made once; networks are loaded for the first image and stay in memory.

    Args:
        settings: further settings as a run takes them, such as "trainer=gpu" or "saliency.beta=0.5".
        choices: of configuration groups by name, such as clip="biomedclip", sam="vit_h".

    Example:
        >>> import numpy as np
        >>> from medsam_exp import Pipeline
        >>> image = np.zeros((64, 80), np.uint8)
        >>> with Pipeline(saliency="patch_text") as pipeline:
        ...     found = pipeline(image, "a bright round lesion")
        >>> found.mask.shape, found.saliency_map.shape
        ((64, 80), (64, 80))
    """

    def __init__(self, settings: Sequence[str] = (), **choices: str) -> None:
        self._choices, self._session = choices, Session(settings)

    def __call__(
        self, image: Path | str | NDArray[np.uint8] | Image.Image, text: str, name: str = "image"
    ) -> Answer:
        """Find what a text says in an image.

        Args:
            image: a file; or a picture in memory, (H, W) or (H, W, 3) uint8 or of Pillow.
            text: what to find, in words.
            name: of a picture in memory; it takes part in the seed, as a file's name does.

        Returns:
            Every step from the map to the mask, in the image's own frame, with scores.

        Raises:
            UserError: the image cannot be read, weights are missing, or a choice cannot work.
        """
        if isinstance(image, Path | str):
            return self._session.segment(Path(image), text, self._choices)
        with temporary_folder("medsam_exp_") as folder:
            path = Path(folder) / f"{name}.png"
            _picture(image).save(path)
            return self._session.segment(path, text, self._choices)

    def correct(
        self,
        found: Answer,
        points: Sequence[Point] = (),
        box: Box | None = None,
        *,
        keep_automatic: bool = True,
    ) -> Answer:
        """Ask SAM again with points and a box of your own; no other network works again.

        Args:
            found: an answer of this pipeline.
            points: (x, y, label) in pixels; label 1 belongs to the target, 0 does not.
            box: (x0, y0, x1, y1) in pixels, in the place of all automatic prompts.
            keep_automatic: whether points are added to the automatic prompts, or stand alone.

        Raises:
            UserError: the prompts cannot work, or the SAM does not understand points.
        """
        return self._session.correct(found, Correction(tuple(points), box, keep_automatic))

    def close(self) -> None:
        """Delete what was kept on disk."""
        self._session.close()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def segment(
    image: Path | str | NDArray[np.uint8] | Image.Image,
    text: str,
    *,
    settings: Sequence[str] = (),
    name: str = "image",
    **choices: str,
) -> Answer:
    """Find what a text says in an image; arguments and result are those of `Pipeline`.

    Networks of the last choices stay in memory, so a loop over images loads them once.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import segment
        >>> found = segment(np.zeros((64, 80), np.uint8), "a bright round lesion", saliency="patch_text")
        >>> found.mask.dtype, 0 <= found.presence <= 1
        (dtype('bool'), True)
    """
    return _pipeline(tuple(settings), tuple(sorted(choices.items())))(image, text, name)


@cache
def _pipeline(settings: tuple[str, ...], choices: tuple[tuple[str, str], ...]) -> Pipeline:
    return Pipeline(settings, **dict(choices))


def _picture(image: NDArray[np.uint8] | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise UserError(
            f"the image is an array of {image.dtype} {image.shape}: give (H, W) or (H, W, 3) uint8, or a file"
        )
    return Image.fromarray(image)
