from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from medsam_exp.report.figures.style import save_png
from medsam_exp.report.figures.words import words_figure

WORDS = [
    "a",
    "$large$",
    "hypoechoic",
    "mass",
    ",",
    "with",
    "spiculated",
    "margins",
    "and",
    "a_b",
    "{c}",
    "^",
    "d",
    "in",
    "the",
    "upper",
    "outer",
    "quadrant",
]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_word_stands_with_its_relevance_on_its_colour() -> None:
    relevance = np.linspace(0, 20, len(WORDS)).tolist()
    figure = words_figure("scan_07", WORDS, relevance, 20.0)
    written = texts(figure)
    for word, nats in zip(WORDS, relevance, strict=True):
        assert word in written
        assert f"{nats:.1f}" in written
    boxes = [text for text in figure.axes[0].texts if text.get_bbox_patch() is not None]
    brightness = [sum(text.get_bbox_patch().get_facecolor()[:3]) for text in boxes]  # type: ignore[union-attr]
    assert brightness == sorted(brightness, reverse=True)
    assert brightness[0] == 3.0
    assert boxes[0].get_color() != boxes[-1].get_color() == "white"


def test_long_texts_are_wrapped_inside_the_picture() -> None:
    short, long = (words_figure("scan", WORDS * n, [1.0] * len(WORDS) * n, 2.0) for n in (1, 4))
    assert long.get_figheight() > short.get_figheight()
    width, height = long.get_size_inches() * long.dpi
    for text in long.axes[0].texts:
        extent = text.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= width
        assert extent.y0 >= 0
        assert extent.y1 <= height


@pytest.mark.parametrize(("words", "relevance"), [([], []), (["mass"], [0.0]), (["x" * 200], [1.0])])
def test_any_text_can_be_drawn(tmp_path: Path, words: list[str], relevance: list[float]) -> None:
    for name in ("a.png", "b.png"):
        save_png(words_figure("scan", words, relevance, 1.0), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.width > 1000
