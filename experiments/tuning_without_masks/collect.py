"""Run the sweeps and print what each score is worth: `python -m experiments.tuning_without_masks.collect`."""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from experiments.reproduce.renew import one_figure_a_line
from experiments.tuning_without_masks.choice import Scores, judge
from experiments.tuning_without_masks.grids import (
    COMMON,
    DEFAULTS,
    DRAWN,
    LATER,
    METHODS,
    OWN_SAM,
    REAL,
    TUNED,
    Grid,
    breast,
)
from medsam_exp.metrics.measures import DISCLAIMER, MISSING
from medsam_exp.sweep.identity import plan_sweep
from medsam_exp.sweep.read import Job, read_sweep

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"
MARK = "<!-- written by experiments.tuning_without_masks.collect from here on -->\n"
_VIEWS = {"cut_out": "text match, cut out", "in_place": "text match, in place"}
_SCORES = {"agreement": "agreement", "expected_iou": "expected IoU", "stability": "stability"}
_AREA, _NOT_EMPTY, _RANDOM = "control: area of the mask", "control: any mask", "control: random numbers"
_DIGITS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; exit non-zero when a committed figure of drawn scans was missed."""
    given = _parser().parse_args(arguments)
    grids = dict(DRAWN)
    if given.root:
        grids[REAL] = (breast(given.root), METHODS)
    if given.root and given.sam:
        grids[OWN_SAM] = (breast(given.root, given.sam), METHODS)
    measured = {}
    for name in given.grid or grids:
        if name not in grids:
            sys.exit(f"error: --grid {name!r} is none of {', '.join(map(repr, grids))}")
        grid = grids[name]
        measured[name] = measure(grid, given.outputs)
        print("\n".join([f"### {name}", "", *table(measured[name]), ""]), flush=True)
    print(DISCLAIMER)
    committed = json.loads(EXPECTED.read_text()) if EXPECTED.is_file() else {"tolerance": 0.1, "rows": {}}
    if given.renew:
        committed["rows"] |= _rounded(measured)
        EXPECTED.write_text(one_figure_a_line(committed) + "\n")
        page = HERE / "README.md"
        page.write_text(written(page))
        return
    if missed := list(_missed(measured, committed)):
        sys.exit("error: " + "; ".join(missed))


def measure(grid: Grid, outputs: Path) -> dict[str, Any]:
    """Run the sweeps of a grid, or read them back, and judge every score."""
    images, axes = grid
    jobs: list[Job] = []
    for later in LATER[axes]:
        options = [*images, *axes, *later, *COMMON]
        subprocess.run(
            [sys.executable, "run.py", "-m", *options, f"paths.outputs={outputs}"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        [folder] = (outputs / "sweeps").glob(f"*/{plan_sweep({}, options).id}")
        fixed = dict(option.split("=", 1) for option in later if "," not in option)
        jobs += [_with(job, fixed) for job in read_sweep([folder]).jobs]
    return judged(jobs, axes)


def judged(jobs: Sequence[Job], axes: tuple[str, ...]) -> dict[str, Any]:
    """What every score is worth, by DSC of SAM's mask, over the settings that the jobs of a grid have."""
    settings, dsc, scores = _scores(jobs)
    default = _place(settings, DEFAULTS[axes])
    tuned = _place(settings, TUNED[axes]) if axes in TUNED else None
    not_empty: NDArray[np.bool_] = np.all(scores[_NOT_EMPTY], axis=1)
    means = dsc.mean(axis=1)
    found = {name: judge(values, dsc, not_empty, default) for name, values in scores.items()}
    return {
        "settings": len(settings),
        "not_empty": int(not_empty.sum()),
        "images": dsc.shape[1],
        "best": _said(settings[int(means.argmax())], means.max()),
        "default": _said(settings[default], means[default]),
        **({"tuned": _said(settings[tuned], means[tuned])} if tuned is not None else {}),
        "worst": _said(settings[int(means.argmin())], means.min()),
        "scores": {
            name: {**asdict(choice), "chosen": _said(settings[choice.chosen], means[choice.chosen])}
            for name, choice in found.items()
        },
    }


def _place(settings: Sequence[Mapping[str, str]], wanted: Mapping[str, str]) -> int:
    return next(place for place, each in enumerate(settings) if wanted.items() <= each.items())


def _with(job: Job, fixed: Mapping[str, str]) -> Job:
    return Job(job.number, {**fixed, **job.values}, job.folder, job.command, job.run, job.error)


def _scores(jobs: Sequence[Job]) -> tuple[list[dict[str, str]], Scores, dict[str, Scores]]:
    """The settings, their true DSC (S, N), and by name each score (S, N)."""
    settings: list[dict[str, str]] = []
    for job in jobs:
        setting = _setting(job)
        if setting not in settings:
            settings.append(setting)
    of = {(settings.index(_setting(job)), job.values["text_match"]): job for job in jobs}

    def column(view: str, measure: str) -> Scores:
        return np.array(
            [[float(row[measure]) for row in _rows(of[place, view])] for place in range(len(settings))]
        )

    first = next(iter(_VIEWS))
    found = {name: column(view, "text_match") for view, name in _VIEWS.items()}
    found |= {name: column(first, measure) for measure, name in _SCORES.items()}
    found[_AREA] = np.array([_areas(of[place, first]) for place in range(len(settings))])
    found[_NOT_EMPTY] = (found[_AREA] > 0).astype(float)
    found[_RANDOM] = np.random.default_rng(0).random(found[_AREA].shape)
    return settings, column(first, "dsc"), found


def _setting(job: Job) -> dict[str, str]:
    return {key: value for key, value in job.values.items() if key != "text_match"}


def _rows(job: Job) -> list[dict[str, str]]:
    return [row for row in job.run.rows if row["stage"] == "sam"]


def _areas(job: Job) -> list[float]:
    """Share of each image that its mask covers."""
    files = (job.folder / "masks" / f"{row['id']}.png" for row in _rows(job))
    return [float((np.asarray(Image.open(file)) > 0).mean()) for file in files]


def _said(setting: Mapping[str, str], dsc: float) -> str:
    return f"{', '.join(f'{key}={value}' for key, value in setting.items())}: {dsc:.{_DIGITS}f}"


def table(found: Mapping[str, Any]) -> list[str]:
    """A grid's figures as Markdown."""
    columns = {
        "Spearman with DSC": "spearman",
        "the same without empty masks": "not_empty",
        "within an image": "per_image",
        "regret": "regret",
        "gain over the default": "gain",
    }
    return [
        f"{found['images']} images, {found['settings']} settings, {found['not_empty']} of them without an empty mask. "
        f"Mean DSC of the best ({found['best']}), the default ({found['default']}), "
        + (f"what masks of other scans chose ({found['tuned']}), " if "tuned" in found else "")
        + f"the worst ({found['worst']}).",
        "",
        f"| score | {' | '.join(columns)} | chosen |",
        "|---" * (len(columns) + 2) + "|",
        *(
            f"| {' | '.join([name, *(_cell(each[key]) for key in columns.values()), each['chosen']])} |"
            for name, each in found["scores"].items()
        ),
    ]


def written(page: Path) -> str:
    """The page with its tables as the committed figures have them."""
    head, _, _ = page.read_text().partition(MARK)
    rows = json.loads(EXPECTED.read_text())["rows"]
    tables = ["\n".join([f"### {name[0].upper()}{name[1:]}", "", *table(rows[name])]) for name in rows]
    return f"{head}{MARK}\n" + "\n\n".join(tables) + "\n"


def _cell(figure: Mapping[str, Any]) -> str:
    bounds = [_number(bound) for bound in figure.get("ci95") or ()]
    return _number(figure["mean"]) + (f" [{', '.join(bounds)}]" if bounds else "")


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    return round(content, _DIGITS) if isinstance(content, float) else content


def _missed(measured: Mapping[str, Any], committed: Mapping[str, Any]) -> list[str]:
    """What differs from the committed figures by more than their tolerance."""
    lines = []
    for name, row in committed["rows"].items():
        for score, figures in row["scores"].items() if name in measured else ():
            for kind in ("spearman", "regret"):
                expected, found = figures[kind]["mean"], measured[name]["scores"][score][kind]["mean"]
                if (expected is None) != (found is None) or abs((found or 0) - (expected or 0)) > committed[
                    "tolerance"
                ]:
                    lines.append(f"{name}, {score}, {kind}: expected {expected}, measured {found}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.tuning_without_masks.collect")
    parser.add_argument(
        "--outputs", type=Path, default=Path("outputs"), help="folder of sweeps and artifacts"
    )
    parser.add_argument("--root", type=Path, help="real breast scans: holds test_images and test_masks")
    parser.add_argument(
        "--sam", type=Path, help="weights of a SAM trained on other breast scans, beside --root"
    )
    parser.add_argument(
        "--grid", action="append", metavar="NAME", help="measure this grid alone; may be repeated"
    )
    parser.add_argument(
        "--renew", action="store_true", help="commit what was measured, and write the page's tables"
    )
    return parser


if __name__ == "__main__":
    main()
