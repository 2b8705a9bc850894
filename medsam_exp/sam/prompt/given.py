"""Visual prompts that a human gave: boxes that were drawn and points that were clicked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medsam_exp.types import Mask, Prompts, UserError

_KINDS = (0, 1)


@dataclass(frozen=True)
class GivenPrompts:
    """Prompts SAM with given boxes and points, in pixels of one image; the coarse mask is not used.

    A box is cut off at the image's edges. Prompts with fewer points than others are filled with "no point"
    (label -1); the masks of all prompts are united.

    Args:
        prompts: of each, `box` [x0, y0, x1, y1] or none, and `points` [[x, y, 1 or 0], ...], 1 for foreground and
            0 for background, or none; each has at least one of both, and all have a box or none has.

    Raises:
        UserError: a prompt has neither, a box has no area, a point is no [x, y, label], only some have a box, or
            numbers look like shares of the image's sides.
    """

    prompts: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        for number, prompt in enumerate(self.prompts):
            problem = _problem(prompt)
            if problem is not None:
                raise UserError(f"prompt.prompts[{number}] {problem}")
        if len({bool(prompt.get("box")) for prompt in self.prompts}) > 1:
            raise UserError(
                "prompt.prompts has prompts with and without a box: give all of them one, or none"
            )

    @property
    def gives_points(self) -> bool:
        """Whether any prompt has points."""
        return any(prompt.get("points") for prompt in self.prompts)

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return the N prompts, for a (H, W) image.

        Raises:
            UserError: a point or a box lies outside the image.
        """
        height, width = coarse_mask.shape
        boxes = [prompt["box"] for prompt in self.prompts if prompt.get("box")]
        points = [list(prompt.get("points") or ()) for prompt in self.prompts]
        most = max(map(len, points), default=0)
        for x, y, _ in (point for some in points for point in some):
            if not (0 <= x < width and 0 <= y < height):
                raise UserError(
                    f"prompt.prompts has a point at ({x:g}, {y:g}), outside of {width} x {height} pixels"
                )
        for x0, y0, x1, y1 in boxes:
            if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
                raise UserError(
                    f"prompt.prompts has a box outside of {width} x {height} pixels: {[x0, y0, x1, y1]}"
                )
        limits = np.array([[0, 0, 0, 0], [width, height, width, height]], np.float32)
        filled = np.array([[*some, *[[0, 0, -1]] * (most - len(some))] for some in points], np.float32)
        filled = filled.reshape(len(points), most, 3)
        return Prompts(
            boxes_xyxy=np.clip(np.array(boxes, np.float32), *limits) if boxes else None,
            point_coords=filled[..., :2].copy() if most else None,
            point_labels=filled[..., 2].astype(np.int64) if most else None,
        )


def _problem(prompt: Any) -> str | None:
    """What is wrong with one prompt, if so."""
    if not isinstance(prompt, Mapping):
        return f"is {prompt!r:.80}, but it must be a table of `box` and `points`"
    unknown = set(prompt) - {"box", "points"}
    box, points = prompt.get("box"), prompt.get("points")
    if unknown:
        return f"has {', '.join(sorted(map(str, unknown)))}; a prompt has `box` and `points`"
    if not box and not points:
        return "has neither a box nor points: give [x0, y0, x1, y1] or [[x, y, 1]]"
    return (_box_problem(box) if box else None) or (_points_problem(points) if points else None)


def _box_problem(box: Any) -> str | None:
    if not (_are_numbers(box, 4) and box[0] < box[2] and box[1] < box[3]):
        return f"has the box {_shown(box)}, but it must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1"
    if min(box) >= 0 and max(box) <= 1:
        return f"has the box {_shown(box)}, which looks like shares of the image's sides: give pixels"
    return None


def _points_problem(points: Any) -> str | None:
    rows = list(points) if _is_list(points) else [points]
    wrong = [point for point in rows if not (_are_numbers(point, 3) and point[2] in _KINDS)]
    if wrong:
        return f"has the point {_shown(wrong[0])}, but it must be [x, y, 1] or [x, y, 0]"
    places = [value for x, y, _ in rows for value in (x, y)]
    if min(places) >= 0 and max(places) <= 1 and any(value % 1 for value in places):
        return f"has the point {_shown(rows[0])}, which looks like shares of the image's sides: give pixels"
    return None


def _are_numbers(values: Any, count: int) -> bool:
    right = _is_list(values) and len(values) == count
    return right and all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str)


def _shown(values: Any) -> str:
    return f"{list(values) if _is_list(values) else values!r}"[:80]
