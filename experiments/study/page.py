"""Measure again what the study's sweeps left, and write its page: `python -m experiments.study.page [--on SCALE]`."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from experiments.reproduce.plan import Sweep, read_table
from experiments.reproduce.renew import one_figure_a_line
from experiments.study.analysis import Setting, corrected_together, honest_choice, main_effects
from medsam_exp.metrics.measures import interval, probability, signed
from medsam_exp.report.figures.style import BLUE, FAINT, GRID, INK, new_figure, style_axes
from medsam_exp.report.finished_run import finite, patients_of
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.sweep.read import Job, read_sweep
from medsam_exp.types import UserError

HERE = Path(__file__).parent
MEASURED = HERE / "measured.json"
MARK = "<!-- written by experiments.study.page from here on -->\n"
TITLES = {"phantom-large": "Drawn scans", "breast": "Breast ultrasound"}
FACTORS = ("text", "map", "segmenter")
DEFAULT = ("class_name", "m2ib", "box")
"""Chosen before anything was measured: what a user has who knows the task and no more."""
CONTROLS = frozenset({"intensity", "center_box"})
"""A map that reads no text, and a prompt that reads no map."""
_NO_SEGMENTER = "none"
_WEAK, _WEAK_DEFAULT = "weak label", "all"
Measured = Mapping[str, Mapping[str, Any]]


def main() -> None:
    """Read the sweeps of a scale, keep what they show, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=list(TITLES), default="phantom-large")
    parser.add_argument("options", nargs="*", help="as experiments.reproduce was given")
    given = parser.parse_args()
    kept = json.loads(MEASURED.read_text()) if MEASURED.is_file() else {}
    kept[given.on] = measure(given.on, given.options)
    kept = {name: kept[name] for name in TITLES if name in kept}
    write_atomically(MEASURED, (one_figure_a_line(kept) + "\n").encode())
    for name in kept:
        _save_forest(kept[name]["effects"], HERE / f"effects_{name.partition('-')[0]}.png")
    page = HERE / "README.md"
    page.write_text(written(page))


def measure(scale: str, options: Sequence[str]) -> dict[str, Any]:
    """What the finished sweeps of a scale show.

    Raises:
        UserError: a job is missing, or has not scored the images of the others.
    """
    zero_shot, *weak = read_table("study", scale, options).sweeps
    jobs = _finished(zero_shot)
    scores = _zero_shot(jobs)
    patients = patients_of(job.run for job in jobs)
    effects = main_effects(scores, FACTORS, DEFAULT, CONTROLS, patients)
    found: dict[str, Any] = {"images": len(scores[DEFAULT])}
    if weak:
        by_policy = _weak(weak)
        found["weak"] = {level: round(mean(own.values()), 3) for (level,), own in by_policy.items()}
        effects += main_effects(by_policy, (_WEAK,), (_WEAK_DEFAULT,))
    methods = {setting: own for setting, own in scores.items() if not CONTROLS & set(setting)}
    choice = honest_choice(methods, DEFAULT, patients)
    found["choice"] = {
        "settings": len(methods),
        "best": " ".join(choice.best),
        **{name: round(getattr(choice, name), 3) for name in ("seen", "honest", "default", "gain")},
        "ci95": choice.ci95 and [round(bound, 3) for bound in choice.ci95],
    }
    found["means"] = {" ".join(setting): round(mean(own.values()), 3) for setting, own in scores.items()}
    found["effects"] = [effect.as_json() for effect in corrected_together(effects)]
    return found


def written(page: Path) -> str:
    """The page with its tables as the committed figures have them."""
    head, _, _ = page.read_text().partition(MARK)
    return head + MARK + "\n" + "\n".join(_lines(json.loads(MEASURED.read_text())))


def _finished(sweep: Sweep) -> tuple[Job, ...]:
    read = read_sweep([sweep.folder()])
    if read.unfinished or not read.jobs:
        why = read.unfinished[0].error if read.unfinished else "it has no jobs"
        raise UserError(f"{sweep.folder()} is not finished ({why}): {sweep.command}")
    return read.jobs


def _zero_shot(jobs: Sequence[Job]) -> dict[Setting, dict[str, float]]:
    """DSC of each combination; without a segmenter the coarse mask's, which no prompt changes."""
    found: dict[Setting, dict[str, float]] = {}
    for job in jobs:
        setting = job.values["text"], job.values["saliency"]
        found.setdefault((*setting, job.values["prompt"]), {}).update(_dsc(job, "sam"))
        found.setdefault((*setting, _NO_SEGMENTER), {}).update(_dsc(job, "coarse"))
    return found


def _weak(sweeps: Sequence[Sweep]) -> dict[Setting, dict[str, float]]:
    """DSC of each policy's nnU-Net, and of the zero-shot masks of the same images."""
    found: dict[Setting, dict[str, float]] = {}
    for sweep in sweeps:
        for job in _finished(sweep):
            found[(job.values["weak_label"],)] = _dsc(job, "weak_single")
            found[("zero-shot SAM",)] = _dsc(job, "sam")
    return found


def _dsc(job: Job, stage: str) -> dict[str, float]:
    """By split and image."""
    split = job.values.get("data.split", "")
    rows = [row for row in job.run.rows if row["stage"] == stage]
    found = {f"{split}/{row['id']}": finite(row["dsc"]) for row in rows}
    if not found or None in found.values():
        raise UserError(f"{job.folder} has not scored every image's {stage} mask: run its sweep again")
    return {name: score for name, score in found.items() if score is not None}


def _lines(measured: Measured) -> Iterator[str]:
    for scale, own in measured.items():
        yield from (f"## {TITLES[scale]}", "")
        yield from _effects(own["effects"], scale)
        yield from _choice(own["choice"], own["images"])
        yield from _means(own["means"])


def _effects(effects: Sequence[Mapping[str, Any]], scale: str) -> Iterator[str]:
    yield f"### What each choice changes, {len(effects)} comparisons"
    yield ""
    yield "| factor | level | against | n | DSC | difference [95 % CI] | p | p, Holm |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in effects:
        change = f"{signed(one['difference'], sign='+')} {interval(one['ci95'], written=signed)}"
        star = "**" if one["corrected"] < 0.05 else ""
        cells = (
            one["factor"],
            f"`{one['level']}`",
            f"`{one['default']}`",
            one["n"],
            f"{one['mean']:.3f}",
            f"{star}{change}{star}",
            probability(one["p"]),
            probability(one["corrected"]),
        )
        yield f"| {' | '.join(map(str, cells))} |"
    yield from ("", "Bold: p < 0.05 after correction.", "")
    yield f"![differences with their intervals](effects_{scale.partition('-')[0]}.png)"
    yield ""


def _choice(choice: Mapping[str, Any], images: int) -> Iterator[str]:
    yield "### What choosing the best setting is worth"
    yield ""
    gain = f"{signed(choice['gain'], sign='+')} {interval(choice['ci95'], written=signed)}"
    yield (
        f"The best of {choice['settings']} settings without a control over all {images} images is `{choice['best']}`, "
        f"with {choice['seen']:.3f} on the images that chose it. Chosen on one half and scored on the other, the best "
        f"setting reaches {choice['honest']:.3f}, where the default has {choice['default']:.3f}: {gain}."
    )
    yield ""


def _means(means: Mapping[str, float]) -> Iterator[str]:
    """Settings of a map and a segmenter by row, texts by column."""
    texts = list(dict.fromkeys(name.split()[0] for name in means))
    yield from ("### Mean DSC of every setting", "")
    yield f"| map | segmenter | {' | '.join(f'`{text}`' for text in texts)} |"
    yield "|---" * (len(texts) + 2) + "|"
    for row in dict.fromkeys(name.partition(" ")[2] for name in means):
        shown, segmenter = row.split()
        if segmenter not in CONTROLS or shown == DEFAULT[1]:  # that control reads no map
            cells = " | ".join(f"{means[f'{text} {row}']:.3f}" for text in texts)
            yield f"| {'any' if segmenter in CONTROLS else f'`{shown}`'} | `{segmenter}` | {cells} |"
    yield ""


def _save_forest(effects: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw each difference with its interval, the first at the top."""
    figure = new_figure(7, 0.9 + 0.27 * len(effects), "constrained")
    axes = figure.add_subplot()
    style_axes(axes, x="difference of DSC to the default level")
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=FAINT, lw=1)
    for place, one in enumerate(effects):
        colour = BLUE if one["corrected"] < 0.05 else FAINT
        low, high = one["ci95"] or (one["difference"],) * 2
        axes.plot([low, high], [-place, -place], color=colour, lw=1.6)
        axes.plot(one["difference"], -place, "o", color=colour, ms=5, mec="white", mew=0.6)
        if place and effects[place - 1]["factor"] != one["factor"]:
            axes.axhline(0.5 - place, color=GRID, lw=0.8)
    axes.set_yticks([-place for place in range(len(effects))])
    axes.set_yticklabels([f"{one['factor']}: {one['level']}" for one in effects], color=INK)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
