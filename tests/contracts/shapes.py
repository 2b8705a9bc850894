"""Shapes (H, W) of masks and maps that every method must take."""

SHAPES = {
    "square": (32, 32),
    "not square": (47, 21),
    "one pixel": (1, 1),
    "a row": (1, 9),
    "a column": (13, 1),
    "large": (1024, 700),
}
