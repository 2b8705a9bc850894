"""Picture of a search: every trial's score over each number that was varied."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medsam_exp.report.figures.style import BLUE, FAINT, GRID, INK, RED, new_figure

_PANEL_WIDTH, _HEIGHT = 3.4, 3.1  # inches
_LOG_FROM = 20.0  # largest value over smallest from which the axis of a number is logarithmic


def tuning_figure(tuning: Mapping[str, Any], label: str) -> Figure:
    """Draw every trial's score over each number that was varied: a panel a number, bars for the 95 % interval.

    Args:
        tuning: `tuning` of summary.json; at least one trial has a score.
        label: the tuned score for readers.
    """
    trials = [trial for trial in tuning["trials"] if trial["score"]]
    keys = list(tuning["best"]["values"])
    width = max(_PANEL_WIDTH * len(keys), 1.4 * _PANEL_WIDTH)
    figure = new_figure(width, _HEIGHT, "constrained")
    panels = np.atleast_1d(figure.subplots(1, len(keys), sharey=True))
    for axes, key in zip(panels, keys, strict=True):
        _draw_panel(axes, key, trials, tuning["best"]["values"])
    looks = {"chosen": ("D", RED, RED), "other trials": ("o", BLUE, BLUE)}
    if any(trial.get("stopped") for trial in trials):
        looks["stopped early, on fewer images"] = ("o", FAINT, "white")
    marks = [
        Line2D([], [], marker=mark, color=edge, markerfacecolor=face) for mark, edge, face in looks.values()
    ]
    figure.legend(marks, [*looks], loc="outside upper right", ncols=len(looks), fontsize=8, frameon=False)
    panels[0].set_ylabel(f"{label}, mean [95 % CI]", fontsize=9, color=INK)
    return figure


def _draw_panel(axes: Axes, key: str, trials: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> None:
    positions = _positions(axes, [trial["values"][key] for trial in trials])
    order = sorted(range(len(trials)), key=lambda number: trials[number]["values"] == best)  # the best on top
    for number in order:
        score, chosen = trials[number]["score"], trials[number]["values"] == best
        low, high = score["ci95"] or 2 * [score["mean"]]
        early = trials[number].get("stopped")
        colour = RED if chosen else FAINT if early else BLUE
        axes.errorbar(
            positions[number],
            score["mean"],
            yerr=[[score["mean"] - low], [high - score["mean"]]],
            fmt="D" if chosen else "o",
            markersize=6 if chosen else 4.5,
            color=colour,
            markerfacecolor="white" if early else colour,
            alpha=1.0 if chosen else 0.55,
            elinewidth=1,
        )
    axes.set_xlabel(key, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=FAINT)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)


def _positions(axes: Axes, values: Sequence[Any]) -> list[float]:
    """Where values stand on the axis: few of them at equal distances, many numbers to scale."""
    numbers = all(isinstance(value, int | float) for value in values)
    listed = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    if len(listed) > 8 and numbers:
        if min(listed) > 0 and max(listed) / min(listed) >= _LOG_FROM:
            axes.set_xscale("log")
        return [float(value) for value in values]
    axes.set_xticks(range(len(listed)), [f"{value:g}" if numbers else str(value) for value in listed])
    axes.set_xlim(-0.5, len(listed) - 0.5)
    return _spread([float(listed.index(value)) for value in values])


def _spread(positions: Sequence[float]) -> list[float]:
    """Move marks of one value a little apart, so that their bars do not hide each other."""
    total, moved = Counter(positions), []
    for place, position in enumerate(positions):
        number = positions[:place].count(position)
        moved.append(position + (number - (total[position] - 1) / 2) * min(0.12, 0.7 / total[position]))
    return moved
