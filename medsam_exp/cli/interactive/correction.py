"""What a human clicked and drew, as visual prompts in the place of those from the coarse mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from medsam_exp.types import Prompts, UserError

Point = tuple[int, int, int]
"""x, y in pixels (whole numbers are pixel centres) and 1 for foreground, 0 for background."""
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; x1 and y1 one past the last pixel."""


@dataclass(frozen=True)
class Correction:
    """What a human added to a result, original frame.

    Attributes:
        points: in the order in which they were clicked.
        box: takes the place of all automatic prompts.
        keep_automatic: whether points are added to the automatic prompts, or stand alone.
    """

    points: tuple[Point, ...] = ()
    box: Box | None = None
    keep_automatic: bool = True

    def __bool__(self) -> bool:
        """Whether anything was clicked or drawn."""
        return bool(self.points or self.box)


def corrected_prompts(automatic: Prompts, correction: Correction) -> list[dict[str, Any]]:
    """The prompts of `prompt=given` for a correction.

    A box that was drawn makes one prompt with all points. Otherwise every automatic prompt stays: a foreground point
    joins the nearest one, whose box is widened to hold it; background points join all of them, as what is not wanted
    is not wanted anywhere.

    Args:
        automatic: those of the coarse mask.
        correction: what was clicked and drawn.

    Raises:
        UserError: only background points are given, and there is nothing for them to take away from.
    """
    if correction.box is not None:
        return [_prompt(list(correction.box), correction.points)]
    prompts = as_given(automatic) if correction.keep_automatic else []
    if not prompts:
        if not any(label for _, _, label in correction.points):
            raise UserError(
                "only background points are given: click on what you look for, or draw a box around it"
            )
        return [_prompt(None, correction.points)]
    for point in correction.points:
        if point[2]:
            _join(min(prompts, key=lambda prompt: _distance(prompt, point)), point)
        else:
            for prompt in prompts:
                prompt.setdefault("points", []).append(list(point))
    return prompts


def as_given(prompts: Prompts) -> list[dict[str, Any]]:
    """Prompts as `prompt=given` takes them: of each its box, [x0, y0, x1, y1], and its points, [x, y, label]."""
    given: list[dict[str, Any]] = [{} for _ in range(len(prompts))]
    for number, prompt in enumerate(given):
        if prompts.boxes_xyxy is not None:
            prompt["box"] = [float(value) for value in prompts.boxes_xyxy[number]]
        if prompts.point_coords is not None and prompts.point_labels is not None:
            pairs = zip(prompts.point_coords[number], prompts.point_labels[number], strict=True)
            prompt["points"] = [[float(x), float(y), int(label)] for (x, y), label in pairs if label >= 0]
    return given


def _prompt(box: list[int] | None, points: tuple[Point, ...]) -> dict[str, Any]:
    given = [list(point) for point in points]
    return {**({"box": box} if box else {}), **({"points": given} if given else {})}


def _join(prompt: dict[str, Any], point: Point) -> None:
    x, y, _ = point
    prompt.setdefault("points", []).append(list(point))
    if "box" in prompt:
        x0, y0, x1, y1 = prompt["box"]
        prompt["box"] = [min(x0, x), min(y0, y), max(x1, x + 1), max(y1, y + 1)]


def _distance(prompt: dict[str, Any], point: Point) -> float:
    """From a point to a prompt's box, or to the nearest of its foreground points."""
    x, y, _ = point
    if "box" in prompt:
        x0, y0, x1, y1 = prompt["box"]
        return float(np.hypot(max(x0 - x, 0, x + 1 - x1), max(y0 - y, 0, y + 1 - y1)))
    return min(float(np.hypot(x - px, y - py)) for px, py, label in prompt["points"] if label)
