"""A search's trials as readers see them: a table, two sentences, and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medsam_exp.metrics.measures import MEASURES, Cell, score_cell
from medsam_exp.report.figures import DOTS_PER_INCH
from medsam_exp.stages.pipeline import stage_title
from medsam_exp.training.search.study import describe

_PANEL_WIDTH, _HEIGHT = 3.4, 3.1  # inches
_INK, _FAINT, _GRID = "#1a1a1a", "#5c5c5c", "#e4e4e4"
_BLUE, _RED = "#0072B2", "#D55E00"
_LOG_FROM = 20.0  # largest value over smallest from which the axis of a number is logarithmic


@dataclass(frozen=True)
class TrialLine:
    """One trial in the table.

    Attributes:
        values: in words.
        score: mean with interval; dashes when the trial failed.
        error: why it failed, or empty.
        stopped: after how many images it was stopped early, in words, or empty.
        best: whether it is the chosen one.
    """

    values: str
    score: Cell
    error: str
    stopped: str
    best: bool


def trial_lines(tuning: Mapping[str, Any]) -> list[TrialLine]:
    """The trials of a search, the best first, then those stopped early, failed ones last; nothing without a search.

    Args:
        tuning: `tuning` of summary.json, or nothing.
    """
    if not tuning:
        return []
    sign = -1 if _higher_is_better(tuning) else 1
    ordered = sorted(
        tuning["trials"], key=lambda trial: (_stopped(trial), sign * _mean(trial, worst=sign * np.inf))
    )
    ordered.sort(key=lambda trial: trial["score"] is None)
    best = tuning["best"]["values"]
    return [
        TrialLine(
            describe(trial["values"]),
            score_cell(trial["score"]),
            trial["error"] or "",
            f"stopped after {trial['score']['n']} of {tuning['images']} images" if _stopped(trial) else "",
            trial["values"] == best,
        )
        for trial in ordered
    ]


def tuning_sentences(tuning: Mapping[str, Any]) -> list[str]:
    """What was searched on which masks, and where the result went; nothing without a search."""
    if not tuning:
        return []
    early = sum(map(_stopped, tuning["trials"]))
    stopped = f" ({early} stopped early)" if early else ""
    return [
        f"Best {measure_label(tuning)} of {len(tuning['trials'])} trials{stopped} on {tuning['images']} images of "
        f"{tuning['data']} ({tuning['split']}): {describe(tuning['best']['values'])}. Their masks were read, so these "
        "images cannot score these numbers.",
        f"Written to {', '.join(tuning['files'])}; later runs with the same data and methods pick it up from "
        "conf/tuned.",
    ]


def measure_label(tuning: Mapping[str, Any]) -> str:
    """The tuned score for readers: "coarse mask DSC"."""
    stage, _, name = tuning["metric"].partition("/")
    label = next(measure.label for measure in MEASURES if measure.name == name)
    return f"{stage_title(stage)} {label}".replace("Coarse", "coarse")


def tuning_figure(tuning: Mapping[str, Any]) -> Figure:
    """Draw every trial's score over each number that was varied: a panel a number, bars for the 95 % interval.

    Args:
        tuning: `tuning` of summary.json; at least one trial has a score.
    """
    trials = [trial for trial in tuning["trials"] if trial["score"]]
    keys = list(tuning["best"]["values"])
    width = max(_PANEL_WIDTH * len(keys), 1.4 * _PANEL_WIDTH)
    figure = Figure(figsize=(width, _HEIGHT), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(keys), sharey=True))
    for axes, key in zip(panels, keys, strict=True):
        _draw_panel(axes, key, trials, tuning["best"]["values"])
    looks = {"chosen": ("D", _RED, _RED), "other trials": ("o", _BLUE, _BLUE)}
    if any(map(_stopped, trials)):
        looks["stopped early, on fewer images"] = ("o", _FAINT, "white")
    marks = [
        Line2D([], [], marker=mark, color=edge, markerfacecolor=face) for mark, edge, face in looks.values()
    ]
    figure.legend(marks, [*looks], loc="outside upper right", ncols=len(looks), fontsize=8, frameon=False)
    panels[0].set_ylabel(f"{measure_label(tuning)}, mean [95 % CI]", fontsize=9, color=_INK)
    return figure


def _draw_panel(axes: Axes, key: str, trials: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> None:
    positions = _positions(axes, [trial["values"][key] for trial in trials])
    order = sorted(range(len(trials)), key=lambda number: trials[number]["values"] == best)  # the best on top
    for number in order:
        score, chosen = trials[number]["score"], trials[number]["values"] == best
        low, high = score["ci95"] or 2 * [score["mean"]]
        early = _stopped(trials[number])
        colour = _RED if chosen else _FAINT if early else _BLUE
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
    axes.set_xlabel(key, fontsize=9, color=_INK)
    axes.tick_params(labelsize=8, colors=_FAINT)
    axes.grid(axis="y", color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)


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
    seen: dict[float, int] = {}
    total = {position: positions.count(position) for position in positions}
    moved = []
    for position in positions:
        number = seen[position] = seen.get(position, -1) + 1
        moved.append(position + (number - (total[position] - 1) / 2) * min(0.12, 0.7 / total[position]))
    return moved


def _higher_is_better(tuning: Mapping[str, Any]) -> bool:
    name = tuning["metric"].partition("/")[2]
    return next(measure.higher_is_better for measure in MEASURES if measure.name == name)


def _stopped(trial: Mapping[str, Any]) -> bool:
    return bool(trial.get("stopped"))


def _mean(trial: Mapping[str, Any], worst: float) -> float:
    return float(trial["score"]["mean"]) if trial["score"] else worst
