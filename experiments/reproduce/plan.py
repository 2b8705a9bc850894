"""What a table is made of: its sweeps, their jobs and folders, and which job fills which cell."""

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from medsam_exp.cli.compose import composed
from medsam_exp.sweep.identity import SweepPlan, plan_sweep
from medsam_exp.types import UserError

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "experiments"
RUNS_FILE = "runs.yaml"
_KEYS = {"options", "rows", "columns", "stage"}
Where = Mapping[str, str]
"""Values that a job has on some axes, by key without `+`."""


@dataclass(frozen=True)
class Cells:
    """A row or a column of a sweep's cells.

    Attributes:
        label: in the table.
        where: what its jobs have in common.
        stage: whose scores it shows; None takes the sweep's.
    """

    label: str
    where: Where
    stage: str | None = None


@dataclass(frozen=True, eq=False)
class Sweep:
    """One sweep of `run.py` that a table needs.

    Attributes:
        options: what is typed, `-m` apart.
        grid: its jobs.
        rows: of the table that it fills.
        columns: of the table that it fills.
        stage: whose scores are shown, such as "sam".
    """

    options: tuple[str, ...]
    grid: SweepPlan
    rows: tuple[Cells, ...]
    columns: tuple[Cells, ...]
    stage: str

    @property
    def command(self) -> str:
        """To be typed by hand."""
        return " ".join(["python", "run.py", "-m", *map(shlex.quote, self.options)])

    def overrides(self, job: Mapping[str, str]) -> list[str]:
        """Of one job, for composing its configuration."""
        return [*self.grid.fixed, *(f"{key}={value}" for key, value in job.items())]

    @property
    def probes(self) -> list[dict[str, str]]:
        """Jobs that between them have every value of every axis once, instead of their product."""
        first = {key: values[0] for key, values in self.grid.axes.items()}
        others = ({**first, key: value} for key, values in self.grid.axes.items() for value in values[1:])
        return [first, *others]

    def folder(self) -> Path:
        """Where its jobs lie, known before it runs: `medsam_exp.sweep.callback` names it so."""
        cfg = composed(self.overrides(self.probes[0]))
        result: Path = Path(cfg.paths.outputs) / "sweeps" / cfg.name / self.grid.id
        return result


@dataclass(frozen=True)
class Table:
    """One table at one scale.

    Attributes:
        name: of its folder.
        scale: "paper", "phantom" or another that its runs.yaml has.
        title: what it shows.
        measures: name in `stage/measure` or `measure`, by the heading it has in the table.
        percent: whether figures are shown in percent.
        average: heading of the column that is the mean of all others; None for no such column.
        absent: why a row cannot be reproduced, by its label.
        sweeps: that fill it.
    """

    name: str
    scale: str
    title: str
    measures: Mapping[str, str]
    percent: bool
    average: str | None
    absent: Mapping[str, str]
    sweeps: tuple[Sweep, ...]


def known_tables(folder: Path = TABLES) -> dict[str, list[str]]:
    """Scales by the name of the table, the paper's tables first."""
    files = sorted(
        folder.glob(f"*/{RUNS_FILE}"), key=lambda file: (not file.parent.name.startswith("table"), file)
    )
    return {file.parent.name: list(_read(file)["scales"]) for file in files}


def read_table(name: str, scale: str, extra: Sequence[str] = (), folder: Path = TABLES) -> Table:
    """Read a table's plan.

    Args:
        name: of its folder, `-` and `_` alike.
        scale: that its runs.yaml has.
        extra: options of `run.py`; every sweep gets them, or with `NAME:` before them those of an experiment that
            begins with NAME, such as `busi:data.index=index.csv`.
        folder: that holds the tables.

    Raises:
        UserError: there is no such table or scale, or its file has a key that means nothing.
    """
    tables, wanted = known_tables(folder), name.replace("-", "_")
    if wanted not in tables:
        raise UserError(f"there is no table {name!r}; there are {', '.join(tables)}")
    if scale not in tables[wanted]:
        raise UserError(f"{name} has no scale {scale!r}; it has {', '.join(tables[wanted])}")
    path = folder / wanted / RUNS_FILE
    content = _read(path)
    own = content["scales"][scale]
    common = [str(option) for option in own.get("options", ())]
    return Table(
        name=wanted,
        scale=scale,
        title=content["title"],
        measures=own["measures"],
        percent=bool(own.get("percent", False)),
        average=own.get("average"),
        absent=own.get("absent") or {},
        sweeps=tuple(_sweep(path, entry, common, extra) for entry in own["sweeps"]),
    )


def _sweep(path: Path, entry: Mapping[str, Any], common: Sequence[str], extra: Sequence[str]) -> Sweep:
    if unknown := set(entry) - _KEYS:
        raise UserError(f"{path}: a sweep has the keys {', '.join(sorted(_KEYS))}, not {unknown.pop()!r}")
    fixed = [*map(str, entry["options"]), *common]
    options = (*fixed, *_meant_for(fixed, extra))
    grid = plan_sweep(_params(options), options)
    axes = {key.lstrip("+"): values for key, values in grid.axes.items()}
    rows, columns = (tuple(_cells(entry[name], axes, path)) for name in ("rows", "columns"))
    return Sweep(options, grid, rows, columns, str(entry.get("stage", "sam")))


def _meant_for(fixed: Sequence[str], extra: Sequence[str]) -> Iterator[str]:
    """Of the options that were given, those for this sweep."""
    experiment = next((option.partition("=")[2] for option in fixed if option.startswith("+experiment=")), "")
    for option in extra:
        name, sign, rest = option.partition(":")
        if not sign or "=" in name:
            yield option
        elif experiment.startswith(name):
            yield rest


def _params(options: Sequence[str]) -> dict[str, Any]:
    """Axes of the files of conf/sweep that the options name, as Hydra merges them."""
    names = next((option.partition("=")[2] for option in options if option.startswith("+sweep=")), "")
    params: dict[str, Any] = {}
    for name in filter(None, names.strip("[]").split(",")):
        content = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "sweep" / f"{name.strip()}.yaml"))
        assert isinstance(content, dict)
        params |= content["hydra"]["sweeper"]["params"]
    return params


def _cells(given: Any, axes: Mapping[str, tuple[str, ...]], path: Path) -> Iterator[Cells]:
    """A label alone takes every job; a list of axes gives one label for each combination of their values."""
    if isinstance(given, str):
        yield Cells(given, {})
        return
    if isinstance(given, list):
        for values in itertools.product(*(_values(axis, axes, path) for axis in given)):
            yield Cells(" ".join(values), dict(zip(given, values, strict=True)))
        return
    for label, where in given.items():
        own = {str(key): str(value) for key, value in where.items() if key != "stage"}
        for axis, value in own.items():
            if value not in _values(axis, axes, path):
                raise UserError(f"{path}: {label!r} wants {axis}={value}, which no job of its sweep has")
        yield Cells(str(label), own, where.get("stage"))


def _values(axis: str, axes: Mapping[str, tuple[str, ...]], path: Path) -> tuple[str, ...]:
    if axis not in axes:
        raise UserError(f"{path}: {axis!r} is no axis of the sweep; these are {', '.join(axes) or 'none'}")
    return axes[axis]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content
