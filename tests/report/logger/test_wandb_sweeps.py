"""W&B sweep files work as pasted: each point that an agent can choose is a run that passes its checks."""

import itertools
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from medsam_exp.config.schema import check
from tests.compose import CONF, composed

SWEEPS = sorted((CONF / "wandb_sweep").glob("*.yaml"))


def points(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination; of a range, its ends."""
    axes = [
        axis["values"]
        if "values" in axis
        else [axis["value"]]
        if "value" in axis
        else [axis["min"], axis["max"]]
        for axis in parameters.values()
    ]
    return [dict(zip(parameters, values, strict=True)) for values in itertools.product(*axes)]


def command(sweep: dict[str, Any], point: dict[str, Any]) -> list[str]:
    """The command that W&B's agent makes of a point."""
    args = create_sweep_command_args({"args": {key: {"value": value} for key, value in point.items()}})
    parts: list[str] = []
    for part in create_sweep_command(list(sweep["command"])):
        name = part.removeprefix("${").removesuffix("}")
        parts += args[name] if part.startswith("${") else [part]
    return parts


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_point_composes_and_passes_the_checks(path: Any) -> None:
    sweep = yaml.safe_load(path.read_text())
    tried = set()
    for point in points(sweep["parameters"]):
        parts = command(sweep, point)
        assert parts[:2] == [".venv/bin/python", "run.py"]
        cfg = check(composed(*parts[2:]))
        assert cfg.logger._target_.endswith("WandbTracker"), (
            "an agent learns nothing from a run that it cannot see"
        )
        tried.add(str(cfg))
    assert len(tried) == len(points(sweep["parameters"])) > 3


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_it_is_for_our_project_and_a_figure_that_we_record(path: Any) -> None:
    sweep = yaml.safe_load(path.read_text())
    assert sweep["project"] == composed("logger=wandb").logger.project
    assert sweep["method"] in ("grid", "random", "bayes")
    stage, measure, part = sweep["metric"]["name"].split("/")
    assert (measure, part) == ("dsc", "mean")
    cfg = composed(*command(sweep, points(sweep["parameters"])[0])[2:])
    assert {"coarse": "coarse_mask", "sam": "sam_mask"}[stage] in cfg.stages
    assert "evaluate" in cfg.stages
    assert path.read_text().startswith("# ")


def test_there_are_sweeps() -> None:
    assert len(SWEEPS) >= 2
