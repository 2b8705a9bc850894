"""Picture of a text whose words are coloured by how much its image asks for them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from medsam_exp.report.figures.panels import draw_scale
from medsam_exp.report.figures.style import FAINT, INK, new_figure

_COLOURS = LinearSegmentedColormap.from_list("white to blue", ["#FFFFFF", "#9CCBEA", "#0072B2", "#00324F"])
"""One hue that only grows darker, so that it can be read in grey and by colour-blind readers."""
_WHITE_INK_ABOVE = 0.55
_WIDTH, _MARGIN, _LINE, _GAP = 8.6, 0.16, 0.56, 0.16  # inches
_HEADER, _FOOTER = 0.42, 0.56  # inches
_BARE_PUNCTUATION = ",.;:!?)"


def words_figure(title: str, words: Sequence[str], relevance: Sequence[float], largest: float) -> Figure:
    """Draw a text: each word on its colour, with its relevance below, and the scale.

    Args:
        title: above the text.
        words: in order.
        relevance: nats of each word.
        largest: nats at the dark end of the scale, > 0; equal for texts that are to be compared.
    """
    figure = new_figure(_WIDTH, 1)
    FigureCanvasAgg(figure)  # measures words
    places, lines = _layout(figure, words)
    height = _HEADER + lines * _LINE + _FOOTER
    figure.set_size_inches(_WIDTH, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, _WIDTH), ylim=(height, 0))
    axes.axis("off")
    axes.text(_MARGIN, 0.12, title, va="top", weight="bold", fontsize=12, color=INK, parse_math=False)
    for word, nats, (left, line, width) in zip(words, relevance, places, strict=True):
        written = f"{nats:.1f}" if largest >= 5 else f"{nats:.2g}"
        _draw_word(axes, word, nats / largest, written, (left + width / 2, _HEADER + line * _LINE))
    scale = figure.add_axes((_MARGIN / _WIDTH, 0.36 / height, 2.6 / _WIDTH, 0.09 / height))
    ticks = {0: "0", largest / 2: f"{largest / 2:.3g}", largest: f"{largest:.3g}"}
    draw_scale(scale, ScalarMappable(Normalize(0, largest), _COLOURS), ticks)
    said = "relevance of the word to this image, nats"
    axes.text(_MARGIN + 2.9, height - 0.31, said, va="center", fontsize=8.5, color=FAINT)
    return figure


def _layout(figure: Figure, words: Sequence[str]) -> tuple[list[tuple[float, int, float]], int]:
    """(left, line, width) of each word in inches, and the number of lines."""
    places: list[tuple[float, int, float]] = []
    left, line = _MARGIN, 0
    for word in words:
        width = max(_inches(figure, word) + 0.1, 0.3)
        gap = 0.04 if word in _BARE_PUNCTUATION else _GAP
        if left > _MARGIN and left + width > _WIDTH - _MARGIN:
            left, line = _MARGIN, line + 1
        elif places:
            left += gap - _GAP
        places.append((left, line, width))
        left += width + _GAP
    return places, line + 1


def _inches(figure: Figure, word: str) -> float:
    drawn = figure.text(0, 0, word, fontsize=12, parse_math=False)
    width = drawn.get_window_extent().width / figure.dpi
    drawn.remove()
    return float(width)


def _draw_word(axes: Axes, word: str, share: float, below: str, place: tuple[float, float]) -> None:
    ink = "white" if share > _WHITE_INK_ABOVE else INK
    box = {
        "boxstyle": "round,pad=0.22",
        "facecolor": _COLOURS(min(share, 1.0)),
        "edgecolor": "#c9c9c9",
        "lw": 0.6,
    }
    x, y = place
    axes.text(x, y + 0.15, word, ha="center", va="center", fontsize=12, color=ink, bbox=box, parse_math=False)
    axes.text(x, y + 0.37, below, ha="center", va="center", fontsize=7.5, color=FAINT)
