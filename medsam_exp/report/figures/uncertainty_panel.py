"""One image with the masks of an ensemble, where it is unsure, where its members disagree, and where it is wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from medsam_exp.metrics.measures import number
from medsam_exp.report.figures import panels
from medsam_exp.types import Mask, RGBImage

_SHORT_LABELS = {
    "expected_dsc": "expected DSC",
    "entropy_boundary": "boundary entropy",
    "disagreement": "disagreement",
}
_LEGEND = {"size": 7.5, "columnspacing": 1.0, "handlelength": 1.6, "handletextpad": 0.5}
_EXTRA, _MISSED = "#F0E442", "#56B4E9"  # falsely marked, falsely left out; no colours of masks beside them
_MAP_COLOURS = "magma"
_DARKENED, _OPAQUE = 0.5, 0.2  # the image below a map; the share of the scale from which on a map hides it
_LN_2 = float(np.log(2))
_CONTEXT, _SMALLEST_PX, _LARGEST_SHARE = 0.35, 48, 0.6
"""Of a window: around what is shown; of the image's sides."""

_Window = tuple[int, int, int, int]
"""First row, one past the last, first column, one past the last."""


def uncertainty_panel(
    sample_id: str,
    image: RGBImage,
    ground_truth: Mask | None,
    mask: Mask,
    single_mask: Mask | None,
    maps: Mapping[str, NDArray[np.floating[Any]]],
    scores: Mapping[str, float],
    dsc: float | None,
) -> Figure:
    """Draw an image with its outlines, where the ensemble is unsure, where it disagrees, and where it is wrong.

    Where all of this fills a small part of the image, the panels show that part, and one more before them the whole.

    Args:
        sample_id: above the picture.
        image: (H, W, 3), original frame.
        ground_truth: (H, W) bool; None leaves the last panel out.
        mask: (H, W) bool, of the ensemble.
        single_mask: (H, W) bool, of one member alone; None where there is none.
        maps: (H, W) `entropy`, on a scale up to ln 2, the most that two classes have, and `mutual_information`, on its
            own; both in nats.
        scores: of the image; `expected_dsc`, `entropy_boundary` and `disagreement` are shown.
        dsc: of the ensemble's mask; None where it is unknown.
    """
    entropy, disagreement = maps["entropy"], maps["mutual_information"]
    masks = [found for found in (mask, single_mask, ground_truth) if found is not None]
    whole = (0, image.shape[0], 0, image.shape[1])
    window = _window([*masks, entropy > _OPAQUE * _LN_2], whole)
    count = 3 + (ground_truth is not None) + (window != whole)
    figure, axes = panels.row(image.shape, count, 0.86, 0.5)
    facts = [] if dsc is None else [f"DSC {number(dsc)}"]
    facts += [f"{label} {number(scores[name])}" for name, label in _SHORT_LABELS.items() if name in scores]
    panels.draw_name(figure, sample_id, 8, "    ".join(facts), gap=0.24, fontsize=10)
    if window != whole:
        _draw_overview(axes.pop(0), image, window)
    _draw_outlines(axes[0], image, mask, single_mask, ground_truth)
    _draw_map(axes[1], image, entropy, _LN_2, "Entropy (nats)", last_label="ln 2")
    _draw_map(axes[2], image, disagreement, float(disagreement.max()), "Mutual information (nats)")
    if ground_truth is not None:
        _draw_errors(axes[3], image, mask, ground_truth)
    top, bottom, left, right = window
    for panel in axes:
        panel.set(xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))
    return figure


def _window(shown: Sequence[Mask], whole: _Window) -> _Window:
    """The part of the image that has all that is shown, in the image's proportions; all of it unless much smaller."""
    found = find_objects(np.logical_or.reduce(shown).astype(np.uint8))
    if not found:
        return whole
    bounds = [(side.start, side.stop, length) for side, length in zip(found[0], whole[1::2], strict=True)]
    share = max((stop - start) / length for start, stop, length in bounds) * (1 + 2 * _CONTEXT)
    share = max(share, _SMALLEST_PX / min(whole[1::2]))
    if share > _LARGEST_SHARE:
        return whole
    window = []
    for start, stop, length in bounds:
        size = int(np.ceil(share * length))
        first = min(max((start + stop - size) // 2, 0), length - size)
        window += [first, first + size]
    return window[0], window[1], window[2], window[3]


def _draw_overview(axes: Axes, image: RGBImage, window: _Window) -> None:
    panels.draw_image(axes, image, "Image")
    top, bottom, left, right = window
    halo = [withStroke(linewidth=2.4, foreground="black")]
    corner = (left - 0.5, top - 0.5)
    frame = Rectangle(corner, right - left, bottom - top, fill=False, ec="white", lw=1.2, path_effects=halo)
    axes.add_patch(frame)
    panels.say_below(axes, "frame: what the other panels show")


def _draw_outlines(
    axes: Axes, image: RGBImage, mask: Mask, single_mask: Mask | None, ground_truth: Mask | None
) -> None:
    panels.draw_image(axes, image, "Masks")
    drawn = ((mask, panels.ENSEMBLE), (single_mask, panels.SINGLE), (ground_truth, panels.TRUTH))
    panels.draw_legend(axes, panels.draw_outlines(axes, drawn), **_LEGEND)


def _draw_map(
    axes: Axes,
    image: RGBImage,
    values: NDArray[np.floating[Any]],
    highest: float,
    title: str,
    last_label: str = "",
) -> None:
    """A map on a scale from 0 to `highest` over the darkened image."""
    panels.draw_image(axes, (_DARKENED * image).astype(np.uint8), title)
    top = highest if highest > 0 else 1.0
    scale, opacity = Normalize(0, top), np.clip(values / (_OPAQUE * top), 0, 1)
    axes.imshow(values, cmap=_MAP_COLOURS, norm=scale, alpha=opacity, interpolation="nearest")
    if highest <= 0:
        panels.say_below(axes, "0 everywhere")
        return
    ticks = {0: "0", highest / 2: f"{highest / 2:.2g}", highest: last_label or f"{highest:.2g}"}
    colours = ScalarMappable(scale, _MAP_COLOURS)
    panels.draw_scale(axes.inset_axes((0.1, -0.07, 0.8, 0.03)), colours, ticks)


def _draw_errors(axes: Axes, image: RGBImage, mask: Mask, ground_truth: Mask) -> None:
    panels.draw_image(axes, image, "Where the mask is wrong (px)")
    entries: list[panels.LegendEntry] = []
    for wrong, colour, name in (
        (mask & ~ground_truth, _EXTRA, "false positive"),
        (ground_truth & ~mask, _MISSED, "false negative"),
    ):
        shown = np.ma.masked_where(~wrong, np.ones(wrong.shape))
        axes.imshow(shown, cmap=ListedColormap([colour]), alpha=0.75, interpolation="nearest")
        label = f"{name} {np.count_nonzero(wrong)}"
        entries.append((label, (Patch(color=colour, lw=0),)))
    panels.draw_outline(axes, ground_truth, panels.TRUTH)
    panels.draw_legend(axes, entries, **_LEGEND)
