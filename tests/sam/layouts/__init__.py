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


Row = tuple[tuple[int, ...], str | None]
"""Shape, and transformers' name; None for what a single image does not need."""


def paired_layout(file: str, **sides: int) -> dict[str, Row]:
    """Shape and transformers' name by the publisher's name; letters in shapes stand for sides."""
    rows: dict[str, Row] = {}
    for line in (Path(__file__).parent / f"{file}.txt").read_text().splitlines():
        if not line.startswith("#"):
            pattern, shape, *other = line.split("  ")
            numbers = tuple(sides[side] if side in sides else int(side) for side in shape.split())
            names = expanded(pattern)
            others = expanded(other[0]) if other else [None] * len(names)
            rows |= {name: (numbers, its) for name, its in zip(names, others, strict=True)}
    return rows


def sam_hq_layout(encoder: str) -> dict[str, tuple[int, ...]]:
    """Shapes by the authors' names: SAM's, and those of the decoder's further parts."""
    width = {"vit_b": 768, "vit_l": 1024, "vit_h": 1280}[encoder]
    rows = paired_layout("sam_hq", V=width)
    return published_layout(encoder) | {name: shape for name, (shape, _) in rows.items()}
