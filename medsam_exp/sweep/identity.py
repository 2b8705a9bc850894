"""Identities of sweeps and jobs: by what they compute, never by when they were started."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob

from medsam_exp.config.shells import for_shell
from medsam_exp.config.start_command import start_command
from medsam_exp.runtime.json_text import json_text
from medsam_exp.sweep.status import SWEEP_FILE
from medsam_exp.types import UserError

_IRRELEVANT = ("paths.outputs", "paths.artifacts", "logger", "workers", "sweep", "hydra")
"""Settings that do not change what a sweep computes."""
_LONGEST_NAME = 80  # characters of a folder's readable name
_HASH = 10


@dataclass(frozen=True)
class SweepPlan:
    """A sweep before it runs.

    Attributes:
        id: the same for the same grid, in whatever order its axes and values were typed.
        axes: values of what varies, as they are typed, by key.
        fixed: what was typed for all jobs alike.
    """

    id: str
    axes: Mapping[str, tuple[str, ...]]
    fixed: tuple[str, ...]

    @property
    def jobs(self) -> list[dict[str, str]]:
        """Value of each axis, for every job, in the order of the axes."""
        return [dict(zip(self.axes, point, strict=True)) for point in itertools.product(*self.axes.values())]

    def command(self, job: Mapping[str, str]) -> str:
        """What to type to run one job alone."""
        parts = [*self.fixed, *(f"{key}={value}" for key, value in job.items())]
        return " ".join([start_command(), *map(for_shell, parts)])


def plan_sweep(params: Mapping[str, object], typed: Sequence[str]) -> SweepPlan:
    """Read a sweep from its configuration and the command line.

    Args:
        params: of `hydra.sweeper.params`, {key: "a,b"}.
        typed: overrides of the command line; those of a key that `params` has replace it.
    """
    lines = [f"{key}={value}" for key, value in params.items()] + list(typed)
    axes: dict[str, tuple[str, ...]] = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create().parse_overrides(lines):
        key = override.get_key_element()
        if isinstance(override.value(), Glob):
            raise UserError(f"{override.input_line}: a sweep needs its values by name, as in {key}=a,b")
        axes.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            axes[key] = tuple(map(str, override.sweep_string_iterator()))
        else:
            fixed[key] = override.input_line or ""
    matters = sorted(line for key, line in fixed.items() if not _is_within(key, (*_IRRELEVANT, "+sweep")))
    content = {"axes": {key: sorted(values) for key, values in sorted(axes.items())}, "fixed": matters}
    kept = [line for key, line in fixed.items() if not _is_within(key, ("+sweep", "hydra"))]
    return SweepPlan(_digest(content), axes, tuple(kept))


def job_folder(varied: Mapping[str, str]) -> str:
    """Folder name of a job: its values in readable form, made unique where they had to be shortened."""
    text = ",".join(f"{key.lstrip('+')}={value}" for key, value in sorted(varied.items()))
    readable = re.sub(r"[^A-Za-z0-9=,._+-]", "_", text)
    if readable == text and len(text) <= _LONGEST_NAME:
        return text or "job"
    return f"{readable[:_LONGEST_NAME]}-{_digest(sorted(varied.items()))}"


def folder_of_overrides(overrides: Sequence[str], sweep_folder: str) -> str:
    """The same name from what Hydra was given for a job.

    Args:
        overrides: of the job, of which some were typed for all jobs alike.
        sweep_folder: its `sweep.json` has what varies.
    """
    axes = json.loads((Path(sweep_folder) / SWEEP_FILE).read_text())["axes"]
    given = OverridesParser.create().parse_overrides(list(overrides))
    values = {entry.get_key_element(): entry.get_value_element_as_str() for entry in given}
    return job_folder({key: value for key, value in values.items() if key in axes})


def _is_within(key: str, roots: Sequence[str]) -> bool:
    return any(key == root or key.startswith((f"{root}.", f"{root}/")) for root in roots)


def _digest(content: object) -> str:
    return hashlib.sha256(json_text(content, sort_keys=True).encode()).hexdigest()[:_HASH]
