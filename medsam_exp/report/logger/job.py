"""What a tracker must know of a run to name it and to put it beside others."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from medsam_exp.config.settings import flatten
from medsam_exp.runtime.foreign import naming_the_file, read_yaml

_IN_THE_TITLE = ("data", "clip", "saliency", "postprocess", "prompt", "sam")
"""Groups whose choices make a run's title, before its seed."""
_LONGEST_TITLE = 120
"""W&B refuses names of more than 128 characters."""
_LONGEST_TAG = 64
"""The same for tags."""


@dataclass(frozen=True)
class SweepJob:
    """A run's place in a sweep.

    Attributes:
        id: of the sweep.
        varied: this job's value on each of the sweep's axes.
        shares_console: whether the sweep's jobs write to one console, where each has a line for its scores.
        name: of the sweep; "" where it has none but its id.
    """

    id: str
    varied: Mapping[str, Any]
    shares_console: bool = False
    name: str = ""

    @property
    def group(self) -> str:
        """What its jobs are grouped by: the sweep's name and id."""
        return f"{self.name}-{self.id}" if self.name else self.id


@dataclass(frozen=True)
class TrackedRun:
    """A run as its tracker sees it.

    Attributes:
        folder: its folder.
        name: its name.
        config: its resolved configuration, as plain values.
        choices: chosen option of each config group.
        stages: what it does, in order.
        command: what repeats it.
        sweep: its place in a sweep; None when it is on its own.
    """

    folder: Path
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    command: str = ""
    sweep: SweepJob | None = None

    @property
    def title(self) -> str:
        """Choices, seed, and what else its sweep varies: "busi-biomedclip-m2ib-otsu-box-vit_b-0,saliency.beta=0.5".

        The run's name, where nothing is known of its choices and its sweep varies nothing.
        """
        known = "seed" in self.config and any(group in self.choices for group in _IN_THE_TITLE)
        said = {*_IN_THE_TITLE, "seed"} if known else set()
        first = [title_of_choices(self.choices, self.config["seed"])] if known else []
        varied = self.sweep.varied if self.sweep else {}
        others = [f"{key.lstrip('+')}={value}" for key, value in varied.items() if key not in said]
        return (",".join([*first, *others]) or self.name)[:_LONGEST_TITLE]

    @property
    def tags(self) -> list[str]:
        """What runs are filtered by: experiment, images, networks and method."""
        chosen = (self.choices.get(group) for group in ("experiment", "data", "clip", "saliency", "sam"))
        return list(dict.fromkeys(choice[:_LONGEST_TAG] for choice in chosen if choice))

    @property
    def flat_config(self) -> dict[str, Any]:
        """Choices and values under one name each: {"saliency": "m2ib", "saliency/beta": 1.0, ...}.

        Names have slashes, as W&B looks below a key for what stands after a dot.
        """
        return {**(flatten(self.config, "/") if self.config else {}), **self.choices}


def title_of_choices(choices: Mapping[str, str], seed: int) -> str:
    """What a run does, in short: "busi-biomedclip-m2ib-otsu-box-vit_b-0"; a group without a choice is left out.

    Args:
        choices: chosen option of each config group.
        seed: of the run.
    """
    return "-".join([*(choices[group] for group in _IN_THE_TITLE if choices.get(group)), str(seed)])


def sweep_job(hydra: HydraConf) -> SweepJob | None:
    """A job's place in a sweep of Hydra's or of a W&B agent; None for a run on its own.

    Args:
        hydra: Hydra's own configuration of the job.
    """
    if hydra.mode != RunMode.MULTIRUN:
        return _agent_job(os.environ)
    folder = Path(str(hydra.sweep.dir))
    varied = {*(hydra.sweeper.params or {}), *_swept_keys(folder / "multirun.yaml")}
    own = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
    values = {
        override.get_key_element(): override.get_value_element_as_str()
        for override in own
        if override.get_key_element() in varied
    }
    one_after_the_other = str(hydra.launcher["_target_"]).endswith("BasicLauncher")
    return SweepJob(folder.name, values, shares_console=one_after_the_other, name=folder.parent.name)


@cache
def _swept_keys(multirun: Path) -> set[str]:
    """Keys with several values on the command line of a sweep, which only the sweep's own record has.

    Reading it takes longer than the rest of a job's start, and its folder is named by the sweep's grid.
    """
    if not multirun.is_file():
        return set()
    mend = "start the sweep again"
    content = read_yaml(multirun, mend)
    with naming_the_file(multirun, "does not say what was typed for a sweep", mend):
        parsed = OverridesParser.create().parse_overrides(list(content["hydra"]["overrides"]["task"]))
    return {override.get_key_element() for override in parsed if override.is_sweep_override()}


def _agent_job(environment: Mapping[str, str]) -> SweepJob | None:
    """What a W&B agent tells the runs that it starts; the values are in a file that it writes for each."""
    sweep, path = environment.get("WANDB_SWEEP_ID"), Path(environment.get("WANDB_SWEEP_PARAM_PATH", ""))
    if not sweep:
        return None
    content = read_yaml(path, "start the agent again") if path.is_file() else {}
    varied = {
        key: item["value"]
        for key, item in (content if isinstance(content, Mapping) else {}).items()
        if isinstance(item, Mapping) and "value" in item
    }
    return SweepJob(sweep, varied)
