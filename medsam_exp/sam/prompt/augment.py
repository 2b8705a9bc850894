"""A second foreground point by SAM's first mask, and SAM again: what SAMAug's ways to choose it share (Dai 2023)."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medsam_exp.sam.prompt.wrapper import Wrapped
from medsam_exp.types import Mask, Prompts, SaliencyMap

Choice = Callable[[NDArray[np.int64], NDArray[np.float64], np.random.Generator], int]
"""(pixels (n, 2) x, y of a mask, first point (2,) x, y, generator) to the place of the pixel that joins the prompt."""


@dataclass(frozen=True)
class PointAugmentation(Wrapped):
    """Asks twice: with the inner prompt, then with it and one more foreground point in the mask of the first answer.

    SAMAug (Dai 2023, arXiv 2307.01187) starts with one point of the true mask; here the inner prompt is made of the
    coarse mask. Where the first mask is empty, the first point is given twice. A prompt's first point is its first
    foreground point, the centre of a box without points, or the highest pixel of a mask prompt.
    """

    gives_points: ClassVar[bool] = True

    @abstractmethod
    def choice(self, saliency_map: SaliencyMap) -> Choice:
        """What chooses the point on the image of a (H, W) map."""

    def changed(self, prompts: Prompts, saliency_map: SaliencyMap, generator: np.random.Generator) -> Prompts:
        """The same prompts, with what adds a point to each."""
        first = _first_points(prompts, saliency_map.shape)
        added = _AddedPoint(first, self.choice(saliency_map), int(generator.integers(2**63)))
        return replace(prompts, further_points=added)


@dataclass(frozen=True)
class _AddedPoint:
    first: NDArray[np.float64]
    choice: Choice
    seed: int

    def __call__(self, place: int, mask: Mask) -> NDArray[np.float32]:
        """One point (1, 2) x, y that joins the prompt at `place`, of its (H, W) mask."""
        pixels = np.argwhere(mask)[:, ::-1]
        if not len(pixels):
            return np.asarray(self.first[place][None], np.float32)
        chosen = self.choice(pixels, self.first[place], np.random.default_rng([self.seed, place]))
        return np.asarray(pixels[chosen][None], np.float32)


def _first_points(prompts: Prompts, size: tuple[int, ...]) -> NDArray[np.float64]:
    """(N, 2) x, y of the first point of each prompt on an image of (H, W) pixels."""
    if prompts.point_coords is not None and prompts.point_labels is not None:
        places = (prompts.point_labels == 1).argmax(axis=1)
        return np.asarray(prompts.point_coords[np.arange(len(places)), places], np.float64)
    if prompts.boxes_xyxy is not None:
        return np.asarray(prompts.boxes_xyxy.reshape(-1, 2, 2).mean(axis=1, dtype=np.float64) - 0.5)
    logits = prompts.mask_logits
    assert logits is not None  # prompts without anything are not asked with
    highest = [np.unravel_index(one.argmax(), one.shape)[::-1] for one in logits]
    return (np.array(highest) + 0.5) * np.divide(size[::-1], logits.shape[:0:-1]) - 0.5
