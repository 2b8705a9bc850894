"""Published checkpoints as tables of names and shapes, written down from their publishers' code."""

import itertools
import re
from pathlib import Path


def published_layout(encoder: str) -> dict[str, tuple[int, ...]]:
    """Shapes by name of the published checkpoint with this image encoder; later lines overrule earlier ones."""
    shapes = {}
    for file in (encoder, "decoder"):
        for line in (Path(__file__).parent / f"{file}.txt").read_text().splitlines():
            if not line.startswith("#"):
                pattern, shape = line.split("  ")
                for name in expanded(pattern):
                    shapes[name] = tuple(int(side) for side in shape.split())
    return shapes


def expanded(pattern: str) -> list[str]:
    """All names of "a.{0-2}.b_{h,w}"."""
    parts = re.split(r"\{(.*?)\}", pattern)
    choices = [_choices(part) if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _choices(braced: str) -> list[str]:
    if "," in braced:
        return braced.split(",")
    first, last = braced.split("-")
    return [str(number) for number in range(int(first), int(last) + 1)]
